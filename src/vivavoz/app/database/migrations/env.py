"""Run by Alembic, with the connection that :mod:`vivavoz.app.database.migrate` gives it."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # SQLite has transactional DDL; Alembic leaves it off for drivers that end transactions by themselves.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
