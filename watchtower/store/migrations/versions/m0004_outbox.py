"""Who is told of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004_outbox"
down_revision: str | None = "0003_transactions"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("ai_informed", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_tried_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("tried_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["alert"],
            ["alert.id"],
        ),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    op.create_index("ix_outbox_alert_receiver", "outbox", ["alert", "receiver", "seq"], unique=False)
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["receiver", "ai_informed", "rank", "seq"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_outbox_receiver_tried", "outbox", ["receiver", "ai_informed", "tried_at"], unique=False)
    op.create_index(
        "ix_outbox_waiting", "outbox", ["alert"], unique=False, postgresql_where=sa.text("state = 'waiting'")
    )


def downgrade() -> None:
    op.drop_index("ix_outbox_waiting", table_name="outbox", postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index("ix_outbox_receiver_tried", table_name="outbox")
    op.drop_index("ix_outbox_pending", table_name="outbox", postgresql_where=sa.text("state = 'pending'"))
    op.drop_index("ix_outbox_alert_receiver", table_name="outbox")
    op.drop_table("outbox")
