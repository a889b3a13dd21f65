"""Noise that a holder put on its sums, to give the same again to the same question."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "analysis_ledger_noise",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("noise", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
