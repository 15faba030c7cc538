"""Keys of personal data, one for each person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision: str = "0006_subject_keys"
down_revision: str | None = "0005_deadletters"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "subject_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("erased_at", TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("object", "record", name=op.f("uq_subject_key_object_record")),
    )


def downgrade() -> None:
    op.drop_table("subject_key")
