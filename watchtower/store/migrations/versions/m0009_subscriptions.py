"""Subscriptions: who asked over HTTP to be told of alerts; and which task of a work tool is which alert."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

revision: str = "0009_subscriptions"
down_revision: str | None = "0008_systems"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "task",
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("heard", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.PrimaryKeyConstraint("receiver", "alert"),
        sa.UniqueConstraint("receiver", "task", name="uq_task_receiver_task"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("queues", ARRAY(sa.Text()), nullable=False),
        sa.Column("severities", ARRAY(sa.Text()), nullable=False),
        sa.Column("owners", ARRAY(sa.Text()), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_subscription_id", "subscription", ["id"], postgresql_where=sa.text("ended_at is null"))


def downgrade() -> None:
    op.drop_table("subscription")
    op.drop_table("task")
