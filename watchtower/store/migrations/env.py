"""How Alembic runs here: on the connection that `migrate` hands over, or offline, writing SQL."""

from alembic import context

from watchtower.store.schema import metadata

connection = context.config.attributes.get("connection")
if connection is not None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
elif context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        literal_binds=True,
        target_metadata=metadata,
        dialect_opts={"paramstyle": "named"},
    )
else:
    raise RuntimeError("migrations run through watchtower.store.database.migrate, which holds the lock")

with context.begin_transaction():
    context.run_migrations()
