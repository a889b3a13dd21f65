"""Run by Alembic: apply the migration scripts on the connection that `migrate` gives."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("metadata"),  # only where a new script is to be written
    render_as_batch=True,  # SQLite cannot alter most of a table in place
)
context.run_migrations()
