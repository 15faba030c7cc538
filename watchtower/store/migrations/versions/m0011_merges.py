"""Records that may be one, and records that were made one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision: str = "0011_merges"
down_revision: str | None = "0009_subscriptions"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "merge_proposal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("survivor", sa.Text(), nullable=False),
        sa.Column("bits", sa.Float(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("weights", JSONB(), nullable=False),
        sa.Column("compared", JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decided_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("proposed_at", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_merge_proposal_status_proposed_at_id", "merge_proposal", ["status", "proposed_at", "id"])
    op.create_index("ix_merge_proposal_object_record", "merge_proposal", ["object", "record"])
    op.create_index("ix_merge_proposal_object_survivor", "merge_proposal", ["object", "survivor"])
    op.create_table(
        "merge",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("survivor", sa.Text(), nullable=False),
        sa.Column("at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("proposal", sa.Text(), nullable=True),
        sa.Column("undone_at", TIMESTAMP(timezone=True), nullable=True),
        sa.Column("undone_by", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    stands = sa.text("undone_at is null")
    op.create_index("ix_merge_record", "merge", ["object", "record"], unique=True, postgresql_where=stands)
    op.create_index("ix_merge_survivor", "merge", ["object", "survivor"], postgresql_where=stands)


def downgrade() -> None:
    op.drop_table("merge")
    op.drop_table("merge_proposal")
