"""What an opt-out is from, where the country lets persons choose."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; whoever has opted out has done so from all secondary use."""
    with op.batch_alter_table("permits_opt_out", schema=None) as batch_op:
        batch_op.add_column(sa.Column("level", sa.Text(), nullable=False, server_default=""))
        batch_op.drop_index("permits_opt_out_open")
        batch_op.create_index(
            "permits_opt_out_open",
            ["person", "level"],
            unique=True,
            sqlite_where=sa.text("until = ''"),
            postgresql_where=sa.text("until = ''"),
        )
