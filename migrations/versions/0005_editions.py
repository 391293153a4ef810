"""Published editions of reports, written once."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

WRITTEN_ONCE = ("edition", "edition_part")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "edition",
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), autoincrement=False, nullable=False, comment="from 1, without a gap"),
        sa.Column("as_of_size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="of the file"),
        sa.Column("manifest", sa.Text(), nullable=False, comment="the signed note, as published"),
        sa.CheckConstraint("edition > 0", name="editions_count_from_one"),
        sa.PrimaryKeyConstraint("document", "edition"),
        comment="Published reports: an edition never changes, a correction is a later one.",
    )
    op.create_table(
        "edition_part",
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("document", "edition", "part"),
        comment="The bytes of a published report, in parts that fit into memory.",
    )
    for table in WRITTEN_ONCE:
        op.execute(
            f'CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )


def downgrade() -> None:
    """Drop the tables again."""
    for table in reversed(WRITTEN_ONCE):
        op.drop_table(table)
