"""Evidence by what it claims, each claim once."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of evidence anew (nothing wrote it before)."""
    op.drop_table("evidence")
    op.create_table(
        "evidence",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("accused", sa.Integer(), nullable=False, comment="a member, 0 the house"),
        sa.Column("entry_index", sa.BigInteger(), nullable=False, comment="the entry that it is about"),
        sa.Column("tap", sa.Integer(), nullable=False),
        sa.Column("settles", sa.Boolean(), nullable=False, comment="carries the journey that it reverses"),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sa.UniqueConstraint("kind", "accused", "entry_index", "tap", "settles", name="one_file_a_claim"),
        comment="Evidence files that entries of the ledger name, each claim once.",
    )
    op.execute(
        'CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON "evidence" '
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )


def downgrade() -> None:
    """Make the table as it was."""
    op.drop_table("evidence")
    op.create_table(
        "evidence",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        comment="Evidence files that entries of the ledger name.",
    )
