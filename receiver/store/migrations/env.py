"""Alembic's door: runs the migrations on the connection that store/engine.py hands over."""

from alembic import context

from receiver.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
    transaction_per_migration=False,
)
context.run_migrations()
