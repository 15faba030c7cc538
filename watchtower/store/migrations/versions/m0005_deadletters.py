"""Dead letters are kept whole, can be redriven or discarded, and hold events of the future until they are due."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision: str = "0005_deadletters"
down_revision: str | None = "0004_outbox"
branch_labels: None = None
depends_on: None = None

_OPEN = sa.text("closed_at is null")
_WAITING = sa.text("closed_at is null and due_at is not null")
_FILL = """
update deadletter set raw = body::text, size = length(body::text), tried_at = received_at,
  redrivable = body ? 'type' and body ? 'subject', source = body ->> 'source', event = body ->> 'id',
  type = body ->> 'type'
"""
_NEW = ("raw", "size", "redrivable", "tried_at")


def upgrade() -> None:
    for column in (
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("redrivable", sa.Boolean(), nullable=True),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("tried_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("due_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("redriven_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
    ):
        op.add_column("deadletter", column)
    op.execute(_FILL)
    for name in _NEW:
        op.alter_column("deadletter", name, nullable=False)
    op.drop_column("deadletter", "body")
    op.create_index("ix_deadletter_digest", "deadletter", ["digest"], unique=True, postgresql_where=_OPEN)
    op.create_index("ix_deadletter_due_at", "deadletter", ["due_at"], postgresql_where=_WAITING)


def downgrade() -> None:
    """Back to the JSON alone: what was cut becomes a text."""
    op.add_column("deadletter", sa.Column("body", JSONB(), nullable=True))
    op.execute("update deadletter set body = to_jsonb(raw)")
    op.alter_column("deadletter", "body", nullable=False)
    op.drop_index("ix_deadletter_due_at", table_name="deadletter", postgresql_where=_WAITING)
    op.drop_index("ix_deadletter_digest", table_name="deadletter", postgresql_where=_OPEN)
    for name in (
        *_NEW, "credential", "source", "event", "type", "digest", "attempts", "due_at", "redriven_at", "closed_at",
        "because",
    ):  # fmt: skip
        op.drop_column("deadletter", name)
