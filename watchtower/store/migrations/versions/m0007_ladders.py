"""Escalation of alerts, silences, why a message waits, and the order of a queue as an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision: str = "0007_ladders"
down_revision: str | None = "0006_subject_keys"
branch_labels: None = None
depends_on: None = None

_RANK = "coalesce(array_position(array['critical', 'high', 'medium', 'low'], severity), 5)"


def upgrade() -> None:
    op.add_column("alert", sa.Column("level", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("alert", sa.Column("escalated_to", sa.Text(), nullable=True))
    order: list[str | sa.TextClause] = ["ai_informed", sa.text(f"({_RANK})"), "opened_at", "id"]
    op.create_index("ix_alert_order", "alert", order)
    op.create_index("ix_alert_status_order", "alert", ["status", *order])
    op.create_index(
        "ix_alert_ladder",
        "alert",
        ["queue", "level", "opened_at"],
        postgresql_where=sa.text("status in ('open', 'snoozed')"),
    )
    op.create_index("ix_alert_snoozed", "alert", ["snoozed_until"], postgresql_where=sa.text("status = 'snoozed'"))
    op.create_table(
        "silence",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("object", sa.Text(), nullable=True),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("begins_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ends_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_silence_ends_at", "silence", ["ends_at"])
    op.alter_column("outbox", "alert", existing_type=sa.Text(), nullable=True)
    op.add_column("outbox", sa.Column("held", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("outbox", "held")
    op.execute("delete from outbox where alert is null")
    op.alter_column("outbox", "alert", existing_type=sa.Text(), nullable=False)
    op.drop_table("silence")
    for name in ("ix_alert_snoozed", "ix_alert_ladder", "ix_alert_status_order", "ix_alert_order"):
        op.drop_index(name, table_name="alert")
    op.drop_column("alert", "escalated_to")
    op.drop_column("alert", "level")
