"""Run by Alembic: apply the migration scripts on the connection that `migrate` gives."""

from alembic import context

from salerno.nodes.migrate import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=list(METADATA),
    render_as_batch=True,  # SQLite cannot alter most of a table in place
)
context.run_migrations()
