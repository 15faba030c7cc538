"""The journal says which entries were written together: what a replay takes at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003_transactions"
down_revision = "0002_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Two steps: entries that are there already stay null, and the table is not written anew.
    op.add_column("journal", sa.Column("txn", sa.BigInteger(), nullable=True))
    op.alter_column("journal", "txn", server_default=sa.text("txid_current()"))


def downgrade() -> None:
    op.drop_column("journal", "txn")
