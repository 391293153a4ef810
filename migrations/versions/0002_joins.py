"""Joins over a border beside a tick's journeys; ledgers of rule revision 1 are refused."""

import sqlalchemy as sa
from alembic import op

from fare_chain.errors import Conflict

revision = "0002"
down_revision = "0001"

REVISION_1 = b"FCCITY\x00\x01"
"""How the city tables began by which rule revision 1 cleared."""


def upgrade() -> None:
    """Add the column; Conflict where the ledger was cleared by rules that this version no longer has."""
    tables = op.get_bind().execute(sa.text("SELECT substring(data from 1 for 8) FROM rule_table")).scalars()
    if REVISION_1 in set(map(bytes, tables)):
        raise Conflict(
            "this database holds a ledger that version 0.1 cleared (rule revision 1): export it with that version, "
            "and begin a new ledger in an empty database"
        )
    op.add_column(
        "cleared_tick", sa.Column("join_block", sa.LargeBinary(), nullable=False, comment="join records, one behind the other")
    )


def downgrade() -> None:
    """Take the column away again."""
    op.drop_column("cleared_tick", "join_block")
