"""First tables of every capability."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs_job",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("leased_until", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    with op.batch_alter_table("jobs_job", schema=None) as batch_op:
        batch_op.create_index("jobs_job_due", ["state", "due_at"], unique=False)

    op.create_table(
        "audit_checkpoint",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("idx", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("idx"),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index("audit_entry_act", ["act", "idx"], unique=False)
        batch_op.create_index("audit_entry_subject", ["subject", "idx"], unique=False)

    op.create_table(
        "audit_subtree",
        sa.Column("last_leaf", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("last_leaf", "level"),
    )
    op.create_table(
        "identity_account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "identity_failure",
        sa.Column("login_digest", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("login_digest"),
    )
    op.create_table(
        "identity_message",
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sender", "jti"),
    )
    with op.batch_alter_table("identity_message", schema=None) as batch_op:
        batch_op.create_index("identity_message_end", ["expires_at"], unique=False)

    op.create_table(
        "identity_participant",
        sa.Column("did", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("access_body", sa.Text(), nullable=False),
        sa.Column("admitted_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("did"),
    )
    op.create_table(
        "identity_session",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["identity_account.id"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    with op.batch_alter_table("identity_session", schema=None) as batch_op:
        batch_op.create_index("identity_session_end", ["expires_at"], unique=False)

    op.create_table(
        "catalogue_dataset",
        sa.Column("iri", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("iri"),
    )
    with op.batch_alter_table("catalogue_dataset", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_catalogue_dataset_source"), ["source"], unique=False)

    op.create_table(
        "catalogue_harvest",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source"),
    )
    op.create_table(
        "catalogue_stamp",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "permits_case",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("applicant_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("permits_case", schema=None) as batch_op:
        batch_op.create_index("permits_case_applicant", ["applicant_id", "created_at"], unique=False)

    op.create_table(
        "permits_opt_out",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("until", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Integer(), nullable=False),
        sa.Column("reversal_receipt", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("permits_opt_out", schema=None) as batch_op:
        batch_op.create_index(
            "permits_opt_out_open",
            ["person"],
            unique=True,
            sqlite_where=sa.text("until = ''"),
            postgresql_where=sa.text("until = ''"),
        )
        batch_op.create_index("permits_opt_out_person", ["person", "since"], unique=False)

    op.create_table(
        "permits_permit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "permits_secret",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "permits_decision",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["permits_case.id"],
        ),
        sa.PrimaryKeyConstraint("case_id"),
    )
    op.create_table(
        "permits_permit_person",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("permit_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["permit_id"],
            ["permits_permit.id"],
        ),
        sa.PrimaryKeyConstraint("person_id", "permit_id"),
    )
    op.create_table(
        "permits_version",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("saved_at", sa.Text(), nullable=False),
        sa.Column("application", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["permits_case.id"],
        ),
        sa.PrimaryKeyConstraint("case_id", "version"),
    )
    op.create_table(
        "holdings_holding",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("person_column", sa.Text(), nullable=False),
        sa.Column("date_column", sa.Text(), nullable=False),
        sa.Column("personal", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("connected_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dataset"),
    )
    with op.batch_alter_table("holdings_holding", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_holdings_holding_connected_at"), ["connected_at"], unique=False)

    op.create_table(
        "analysis_agent_round",
        sa.Column("coordinator", sa.Text(), nullable=False),
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("arrays", sa.Text(), nullable=False),
        sa.Column("totals", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("coordinator", "question_id", "run", "round"),
    )
    op.create_table(
        "analysis_agent_run",
        sa.Column("coordinator", sa.Text(), nullable=False),
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("opening", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("dictionary", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("permit_token", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("coordinator", "question_id", "run"),
    )
    op.create_table(
        "analysis_opening",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("question_id", "run", "holder"),
    )
    with op.batch_alter_table("analysis_opening", schema=None) as batch_op:
        batch_op.create_index("analysis_opening_todo", ["holder", "state"], unique=False)

    op.create_table(
        "analysis_question",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("study", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("analysis_question", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_analysis_question_study"), ["study"], unique=False)

    op.create_table(
        "analysis_round",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("arrays", sa.Text(), nullable=False),
        sa.Column("totals", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("question_id", "run", "round"),
    )
    op.create_table(
        "analysis_run",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("holders", sa.Text(), nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("question_id", "run"),
    )
    op.create_table(
        "analysis_share",
        sa.Column("question_id", sa.Text(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("question_id", "run", "round", "holder"),
    )
    with op.batch_alter_table("analysis_share", schema=None) as batch_op:
        batch_op.create_index("analysis_share_todo", ["holder", "state"], unique=False)

    op.create_table(
        "analysis_study",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=False),
        sa.Column("methods", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("analysis_study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_analysis_study_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    """Drop the tables, and all that is in them."""
    with op.batch_alter_table("analysis_study", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_analysis_study_user_id"))

    op.drop_table("analysis_study")
    with op.batch_alter_table("analysis_share", schema=None) as batch_op:
        batch_op.drop_index("analysis_share_todo")

    op.drop_table("analysis_share")
    op.drop_table("analysis_run")
    op.drop_table("analysis_round")
    with op.batch_alter_table("analysis_question", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_analysis_question_study"))

    op.drop_table("analysis_question")
    with op.batch_alter_table("analysis_opening", schema=None) as batch_op:
        batch_op.drop_index("analysis_opening_todo")

    op.drop_table("analysis_opening")
    op.drop_table("analysis_agent_run")
    op.drop_table("analysis_agent_round")
    with op.batch_alter_table("holdings_holding", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_holdings_holding_connected_at"))

    op.drop_table("holdings_holding")
    op.drop_table("permits_version")
    op.drop_table("permits_permit_person")
    op.drop_table("permits_decision")
    op.drop_table("permits_secret")
    op.drop_table("permits_permit")
    with op.batch_alter_table("permits_opt_out", schema=None) as batch_op:
        batch_op.drop_index("permits_opt_out_person")
        batch_op.drop_index(
            "permits_opt_out_open", sqlite_where=sa.text("until = ''"), postgresql_where=sa.text("until = ''")
        )

    op.drop_table("permits_opt_out")
    with op.batch_alter_table("permits_case", schema=None) as batch_op:
        batch_op.drop_index("permits_case_applicant")

    op.drop_table("permits_case")
    op.drop_table("catalogue_stamp")
    op.drop_table("catalogue_harvest")
    with op.batch_alter_table("catalogue_dataset", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_catalogue_dataset_source"))

    op.drop_table("catalogue_dataset")
    with op.batch_alter_table("identity_session", schema=None) as batch_op:
        batch_op.drop_index("identity_session_end")

    op.drop_table("identity_session")
    op.drop_table("identity_participant")
    with op.batch_alter_table("identity_message", schema=None) as batch_op:
        batch_op.drop_index("identity_message_end")

    op.drop_table("identity_message")
    op.drop_table("identity_failure")
    op.drop_table("identity_account")
    op.drop_table("audit_subtree")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index("audit_entry_subject")
        batch_op.drop_index("audit_entry_act")

    op.drop_table("audit_entry")
    op.drop_table("audit_checkpoint")
    with op.batch_alter_table("jobs_job", schema=None) as batch_op:
        batch_op.drop_index("jobs_job_due")

    op.drop_table("jobs_job")
