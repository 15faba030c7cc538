"""Connected systems: how far each was read and how it went, and which of its objects is which record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision: str = "0008_systems"
down_revision: str | None = "0007_ladders"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "system_state",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("cursor", JSONB(), nullable=False),
        sa.Column("round", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("moved_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("began_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("succeeded_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("failed_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), server_default="", nullable=False),
        sa.Column("written_seq", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("system"),
    )
    op.create_table(
        "system_link",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("said", JSONB(), nullable=False),
        sa.Column("written", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("gone", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("system", "object", "id"),
    )
    op.create_index("ix_system_link_subject", "system_link", ["subject", "system"])
    op.create_index("ix_system_link_round", "system_link", ["system", "round"], postgresql_where=sa.text("not gone"))


def downgrade() -> None:
    op.drop_table("system_link")
    op.drop_table("system_state")
