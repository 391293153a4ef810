"""Cosignatures, the newest final checkpoint, evidence; ledgers of rule revision 2 are refused."""

import sqlalchemy as sa
from alembic import op

from fare_chain.errors import Conflict

revision = "0003"
down_revision = "0002"

WRITTEN_ONCE = ("cosignature", "evidence")


def upgrade() -> None:
    """Create the tables; Conflict where windows were closed by rules that this version no longer has."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM win")).scalar_one():
        raise Conflict(
            "this database holds a ledger that version 0.2 cleared (rule revision 2): export it with that version, "
            "and begin a new ledger in an empty database"
        )
    op.create_table(
        "cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False, comment="the signature line as it stands in a note"),
        sa.PrimaryKeyConstraint("size", "name"),
        comment="Who cosigned which checkpoint, by the policy's names.",
    )
    op.create_table(
        "final_head",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="the checkpoint with its cosignatures, as published"),
        sa.CheckConstraint("id = 1", name="one_final_head"),
        sa.PrimaryKeyConstraint("id"),
        comment="The newest checkpoint that the quorum has cosigned.",
    )
    op.create_table(
        "evidence",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        comment="Evidence files that entries of the ledger name.",
    )
    for table in WRITTEN_ONCE:
        op.execute(
            f'CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )


def downgrade() -> None:
    """Drop the tables again."""
    for table in ("evidence", "final_head", "cosignature"):
        op.drop_table(table)
