"""The tables of the house, and the engine that reaches them.

The ledger's part (head, entry, body, codes, tile, checkpoint, rule_table) is the truth. The clearing's part (clearing_head,
cleared_tick, exception, win, obligation, posting, account, snapshot) is a fold over it and can be rebuilt from it.
"""

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

FAILURES: tuple[type[Exception], ...] = (SQLAlchemyError, PostgresError, InterfaceError, OSError, TimeoutError)
"""What a database that goes away, or an answer that is lost, looks like: read the head again before going on."""

metadata = MetaData()

head = Table(
    "head",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("last_leaf", LargeBinary, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("id = 1", name="one_head"),
    comment="The one row whose update is a tick's point of no return.",
)

entry = Table(
    "entry",
    metadata,
    Column("entry_index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("city", Integer, comment="of a batch"),
    Column("city_seq", BigInteger, comment="of a batch"),
    Column("data", LargeBinary, nullable=False, comment="the entry as it is hashed"),
    CheckConstraint("octet_length(data) <= 65535", name="entry_fits_a_bundle"),
    UniqueConstraint("city", "city_seq", name="one_entry_a_batch"),
    Index("entry_by_kind", "kind", "entry_index"),
)

body = Table(
    "body",
    metadata,
    Column("entry_index", BigInteger, primary_key=True, autoincrement=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("taps", LargeBinary, nullable=False),
    Index("body_by_hash", "body_hash"),
    comment="The taps of a batch, 80 bytes each, beside the entry that names their hash.",
)

codes = Table(
    "codes",
    metadata,
    Column("entry_index", BigInteger, primary_key=True, autoincrement=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("codes", LargeBinary, nullable=False),
    Index("codes_by_hash", "body_hash"),
    comment="The rider codes as scanned: evidence that may be dropped after its retention.",
)

tile = Table(
    "tile",
    metadata,
    Column("level", SmallInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False, comment="up to 256 hashes; a partial tile is a prefix of the full one"),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False, comment="the signed note, as published"),
)

rule_table = Table(
    "rule_table",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("data", LargeBinary, nullable=False, comment="a city's table or the agreement, as hashed"),
)

cosignature = Table(
    "cosignature",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("line", Text, nullable=False, comment="the signature line as it stands in a note"),
    comment="Who cosigned which checkpoint, by the policy's names.",
)

final_head = Table(
    "final_head",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False, comment="the checkpoint with its cosignatures, as published"),
    CheckConstraint("id = 1", name="one_final_head"),
    comment="The newest checkpoint that the quorum has cosigned.",
)

evidence = Table(
    "evidence",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("accused", Integer, nullable=False, comment="a member, 0 the house"),
    Column("entry_index", BigInteger, nullable=False, comment="the entry that it is about"),
    Column("tap", Integer, nullable=False),
    Column("settles", Boolean, nullable=False, comment="carries the journey that it reverses"),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("kind", "accused", "entry_index", "tap", "settles", name="one_file_a_claim"),
    comment="Evidence files that entries of the ledger name, each claim once.",
)

fork = Table(
    "fork",
    metadata,
    Column("city", Integer, primary_key=True),
    Column("city_seq", BigInteger, primary_key=True),
    Column("header_hash", LargeBinary, primary_key=True),
    Column("signed_header", LargeBinary, nullable=False),
    comment="A second signed header for a city's sequence number: evidence against the city.",
)

edition = Table(
    "edition",
    metadata,
    Column("document", Text, primary_key=True),
    Column("edition", Integer, primary_key=True, autoincrement=False, comment="from 1, without a gap"),
    Column("as_of_size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False, comment="of the file"),
    Column("manifest", Text, nullable=False, comment="the signed note, as published"),
    CheckConstraint("edition > 0", name="editions_count_from_one"),
    comment="Published reports: an edition never changes, a correction is a later one.",
)

edition_part = Table(
    "edition_part",
    metadata,
    Column("document", Text, primary_key=True),
    Column("edition", Integer, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    comment="The bytes of a published report, in parts that fit into memory.",
)

clearing_head = Table(
    "clearing_head",
    metadata,
    Column("id", SmallInteger, primary_key=True),
    Column("to_index", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_clearing_head"),
    comment="How far the ledger is cleared; updated with the rows it stands for.",
)

cleared_tick = Table(
    "cleared_tick",
    metadata,
    Column("to_index", BigInteger, primary_key=True, autoincrement=False),
    Column("from_index", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("taps", BigInteger, nullable=False),
    Column("journeys", BigInteger, nullable=False),
    Column("gross_fen", BigInteger, nullable=False),
    Column("delta_root", LargeBinary, nullable=False),
    Column("positions", ARRAY(BigInteger), nullable=False, comment="fen by member number, after this tick"),
    Column("journey_block", LargeBinary, nullable=False, comment="journey records, one behind the other"),
    Column("share_block", LargeBinary, nullable=False, comment="share records, one behind the other"),
    Column("join_block", LargeBinary, nullable=False, comment="join records, one behind the other"),
    Column("adjustment_block", LargeBinary, nullable=False, comment="journeys that fell: adjustment records"),
    Column("adjusted_share_block", LargeBinary, nullable=False, comment="what is owed back of them: share records"),
)

exception = Table(
    "exception",
    metadata,
    Column("to_index", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("reason", SmallInteger, nullable=False),
    Column("tap", LargeBinary, nullable=False),
    comment="Taps that cannot clear, each with its numbered reason.",
)

win = Table(
    "win",
    metadata,
    Column("second", BigInteger, primary_key=True, autoincrement=False),
    Column("seconds", BigInteger, nullable=False),
    Column("from_index", BigInteger, nullable=False),
    Column("to_index", BigInteger, nullable=False),
    Column("taps", BigInteger, nullable=False),
    Column("journeys", BigInteger, nullable=False),
    Column("gross_fen", BigInteger, nullable=False),
    Column("net_fen", BigInteger, nullable=False),
    Column("state_root", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False, comment="the window's ledger entry"),
)

obligation = Table(
    "obligation",
    metadata,
    Column("second", BigInteger, primary_key=True),
    Column("debtor", Integer, primary_key=True),
    Column("creditor", Integer, primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("journeys", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    CheckConstraint("amount_fen > 0 AND debtor <> creditor", name="an_obligation_is_owed"),
    comment="What one member owes another for the journeys of a window, summed by pair and kind.",
)

posting = Table(
    "posting",
    metadata,
    Column("second", BigInteger, primary_key=True),
    Column("level", SmallInteger, primary_key=True),
    Column("owner", Integer, primary_key=True),
    Column("account", SmallInteger, primary_key=True),
    Column("reason", SmallInteger, primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("before_fen", BigInteger, nullable=False),
    Column("after_fen", BigInteger, nullable=False),
    CheckConstraint("after_fen = before_fen + amount_fen", name="a_posting_carries_its_balance"),
    comment="Double entry: sums to zero for each second, level and reason.",
)

account = Table(
    "account",
    metadata,
    Column("level", SmallInteger, primary_key=True),
    Column("owner", Integer, primary_key=True),
    Column("account", SmallInteger, primary_key=True),
    Column("balance_fen", BigInteger, nullable=False),
    Column("second", BigInteger, nullable=False, comment="the last window that changed it"),
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("to_index", BigInteger, primary_key=True, autoincrement=False),
    Column("state", LargeBinary, nullable=False),
    comment="The clearing's state between ticks, so that a restart replays minutes and not months.",
)


def make_engine(url: str) -> AsyncEngine:
    """An engine on asyncpg; prepared statements stay on, connections are checked before they are lent."""
    return create_async_engine(url, pool_size=5, max_overflow=5, pool_pre_ping=True)
