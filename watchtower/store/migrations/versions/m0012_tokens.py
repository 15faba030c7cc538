"""Tokens that connected systems give and renew, and merges that they tell of before the records are read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision: str = "0012_tokens"
down_revision: str | None = "0011_merges"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "system_token",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), server_default="", nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("ends_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("renewed_at", TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("system"),
    )
    op.create_table(
        "system_merge",
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("into", sa.Text(), nullable=False),
        sa.Column("heard_at", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("system", "id"),
    )


def downgrade() -> None:
    op.drop_table("system_merge")
    op.drop_table("system_token")
