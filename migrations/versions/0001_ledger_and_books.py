"""The ledger, the clearing's results and the books."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WRITTEN_ONCE = ("entry", "body", "checkpoint", "cleared_tick", "exception", "win", "obligation", "posting", "rule_table")
"""A trigger keeps their rows from being changed or deleted; `codes` may be dropped after its retention, by design."""

OUT_OF_LINE = (("body", "taps"), ("codes", "codes"), ("cleared_tick", "journey_block"), ("cleared_tick", "share_block"))
"""Blobs of hashes and random bytes: compressing them costs and gains nothing."""


def upgrade() -> None:
    """Create the tables, keep blobs as they are, and forbid rewriting what is written once."""
    op.create_table(
        "account",
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.Integer(), nullable=False),
        sa.Column("account", sa.SmallInteger(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.Column("second", sa.BigInteger(), nullable=False, comment="the last window that changed it"),
        sa.PrimaryKeyConstraint("level", "owner", "account"),
    )
    op.create_table(
        "body",
        sa.Column("entry_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("taps", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_index"),
        comment="The taps of a batch, 80 bytes each, beside the entry that names their hash.",
    )
    op.create_index("body_by_hash", "body", ["body_hash"], unique=False)
    op.create_table(
        "checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False, comment="the signed note, as published"),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table(
        "cleared_tick",
        sa.Column("to_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_index", sa.BigInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("taps", sa.BigInteger(), nullable=False),
        sa.Column("journeys", sa.BigInteger(), nullable=False),
        sa.Column("gross_fen", sa.BigInteger(), nullable=False),
        sa.Column("delta_root", sa.LargeBinary(), nullable=False),
        sa.Column("positions", sa.ARRAY(sa.BigInteger()), nullable=False, comment="fen by member number, after this tick"),
        sa.Column("journey_block", sa.LargeBinary(), nullable=False, comment="journey records, one behind the other"),
        sa.Column("share_block", sa.LargeBinary(), nullable=False, comment="share records, one behind the other"),
        sa.PrimaryKeyConstraint("to_index"),
    )
    op.create_table(
        "clearing_head",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("to_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_clearing_head"),
        sa.PrimaryKeyConstraint("id"),
        comment="How far the ledger is cleared; updated with the rows it stands for.",
    )
    op.create_table(
        "codes",
        sa.Column("entry_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("codes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_index"),
        comment="The rider codes as scanned: evidence that may be dropped after its retention.",
    )
    op.create_index("codes_by_hash", "codes", ["body_hash"], unique=False)
    op.create_table(
        "entry",
        sa.Column("entry_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("city", sa.Integer(), nullable=True, comment="of a batch"),
        sa.Column("city_seq", sa.BigInteger(), nullable=True, comment="of a batch"),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="the entry as it is hashed"),
        sa.CheckConstraint("octet_length(data) <= 65535", name="entry_fits_a_bundle"),
        sa.PrimaryKeyConstraint("entry_index"),
        sa.UniqueConstraint("city", "city_seq", name="one_entry_a_batch"),
    )
    op.create_index("entry_by_kind", "entry", ["kind", "entry_index"], unique=False)
    op.create_table(
        "exception",
        sa.Column("to_index", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("tap", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("to_index", "number"),
        comment="Taps that cannot clear, each with its numbered reason.",
    )
    op.create_table(
        "fork",
        sa.Column("city", sa.Integer(), nullable=False),
        sa.Column("city_seq", sa.BigInteger(), nullable=False),
        sa.Column("header_hash", sa.LargeBinary(), nullable=False),
        sa.Column("signed_header", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("city", "city_seq", "header_hash"),
        comment="A second signed header for a city's sequence number: evidence against the city.",
    )
    op.create_table(
        "head",
        sa.Column("id", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("last_leaf", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_us", sa.BigInteger(), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_head"),
        sa.PrimaryKeyConstraint("id"),
        comment="The one row whose update is a tick's point of no return.",
    )
    op.create_table(
        "obligation",
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("debtor", sa.Integer(), nullable=False),
        sa.Column("creditor", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("journeys", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0 AND debtor <> creditor", name="an_obligation_is_owed"),
        sa.PrimaryKeyConstraint("second", "debtor", "creditor", "kind"),
        comment="What one member owes another for the journeys of a window, summed by pair and kind.",
    )
    op.create_table(
        "posting",
        sa.Column("second", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("owner", sa.Integer(), nullable=False),
        sa.Column("account", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.SmallInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("before_fen", sa.BigInteger(), nullable=False),
        sa.Column("after_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("after_fen = before_fen + amount_fen", name="a_posting_carries_its_balance"),
        sa.PrimaryKeyConstraint("second", "level", "owner", "account", "reason"),
        comment="Double entry: sums to zero for each second, level and reason.",
    )
    op.create_table(
        "rule_table",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="a city's table or the agreement, as hashed"),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "snapshot",
        sa.Column("to_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("to_index"),
        comment="The clearing's state between ticks, so that a restart replays minutes and not months.",
    )
    op.create_table(
        "tile",
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column(
            "hashes", sa.LargeBinary(), nullable=False, comment="up to 256 hashes; a partial tile is a prefix of the full one"
        ),
        sa.PrimaryKeyConstraint("level", "number"),
    )
    op.create_table(
        "win",
        sa.Column("second", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("from_index", sa.BigInteger(), nullable=False),
        sa.Column("to_index", sa.BigInteger(), nullable=False),
        sa.Column("taps", sa.BigInteger(), nullable=False),
        sa.Column("journeys", sa.BigInteger(), nullable=False),
        sa.Column("gross_fen", sa.BigInteger(), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.Column("state_root", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="the window's ledger entry"),
        sa.PrimaryKeyConstraint("second"),
    )
    for table, column in OUT_OF_LINE:
        op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STORAGE EXTERNAL')
    op.execute(
        """
        CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are written once: post a correction instead', TG_TABLE_NAME;
        END $$
        """
    )
    for table in WRITTEN_ONCE:
        op.execute(
            f'CREATE TRIGGER written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )
    op.execute("INSERT INTO clearing_head (id, to_index) VALUES (1, 0)")


def downgrade() -> None:
    """Drop everything: only an empty house may go back before its first version."""
    for table in (
        "account",
        "body",
        "checkpoint",
        "cleared_tick",
        "clearing_head",
        "codes",
        "entry",
        "exception",
        "fork",
        "head",
        "obligation",
        "posting",
        "rule_table",
        "snapshot",
        "tile",
        "win",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_rewriting()")
