"""What becomes of permits: places in the status list, and proofs of deletion."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "permits_status",
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("permit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("permit"),
    )
    op.create_table(
        "permits_deletion",
        sa.Column("permit", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("deleted_at", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("permit", "holder", "entry"),
    )
    op.create_table(
        "holdings_deletion",
        sa.Column("entry", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("permit", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
