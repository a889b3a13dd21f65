"""A run's signed opening is the same for all its holders, so it is kept once."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the openings from the holders' rows to the runs'."""
    with op.batch_alter_table("analysis_run") as batch:
        batch.add_column(sa.Column("opening", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE analysis_run SET opening = coalesce((SELECT min(token) FROM analysis_opening "
        "WHERE analysis_opening.question_id = analysis_run.question_id "
        "AND analysis_opening.run = analysis_run.run), '')"
    )
    with op.batch_alter_table("analysis_opening") as batch:
        batch.drop_column("token")
