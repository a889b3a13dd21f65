"""What persons are told, and where and in which language."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and give accounts an address and a language."""
    op.add_column("identity_account", sa.Column("email", sa.Text(), server_default="", nullable=False))
    op.add_column("identity_account", sa.Column("language", sa.Text(), server_default="en", nullable=False))
    op.create_table(
        "identity_notice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("told_at", sa.Text(), nullable=False),
        sa.Column("read_at", sa.Text(), nullable=False),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["identity_account.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("identity_notice_inbox", "identity_notice", ["account_id", "told_at"])
    unread, waiting = sa.text("read_at = ''"), sa.text("mail = 'due'")
    op.create_index(
        "identity_notice_unread",
        "identity_notice",
        ["account_id"],
        sqlite_where=unread,
        postgresql_where=unread,
    )
    op.create_index(
        "identity_notice_mail", "identity_notice", ["told_at"], sqlite_where=waiting, postgresql_where=waiting
    )
