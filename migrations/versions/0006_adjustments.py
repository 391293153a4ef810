"""Journeys that fall; ledgers of rule revision 3 are refused."""

import sqlalchemy as sa
from alembic import op

from fare_chain.errors import Conflict

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; Conflict where windows were closed by rules that this version no longer has."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM win")).scalar_one():
        raise Conflict(
            "this database holds a ledger that version 0.3 cleared (rule revision 3): export it with that version, "
            "and begin a new ledger in an empty database"
        )
    for name, what in (
        ("adjustment_block", "journeys that fell: adjustment records"),
        ("adjusted_share_block", "what is owed back of them: share records"),
    ):
        op.add_column("cleared_tick", sa.Column(name, sa.LargeBinary(), nullable=False, server_default="", comment=what))
        op.alter_column("cleared_tick", name, server_default=None)


def downgrade() -> None:
    """Drop the columns again."""
    for name in ("adjusted_share_block", "adjustment_block"):
        op.drop_column("cleared_tick", name)
