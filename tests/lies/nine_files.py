"""One file of each kind of evidence, made by those who lie with real keys, and how its reader checks it."""

from functools import cache

from fare_chain import evidence
from fare_chain.batch import CityTail
from fare_chain.checkpoint import Checkpoint
from fare_chain.events import EntryKind, KeyEntry
from fare_chain.evidence_checks import check_evidence
from fare_chain.governance import EvidenceKind, Term
from fare_chain.hashing import sha256
from fare_chain.ledger import Head, append, read_entry
from fare_chain.merkle import root
from fare_chain.proofs import prove_inclusion
from fare_chain.tap import TapKind
from simulators.adversary.city import forged
from simulators.adversary.told_log import ToldLog
from simulators.small_cities import OPENING_US
from simulators.small_house import ORIGIN, SmallRider, small_key, small_ring
from tests.lies.liars import COSIGNING, HOUSE_KEY, lying_city, lying_mirror
from tests.settlement.mirror.mirror_world import POLICY

CITY, ALDER = lying_city(1), lying_mirror(1)
AT_US = OPENING_US + 10**6
KEYS = [(EntryKind.KEY, KeyEntry.of(key, small_key(key.owner, key.use)).to_bytes()) for key in small_ring()]
SIGN = ToldLog(ORIGIN, HOUSE_KEY, (), tuple(COSIGNING))


def scan(rider, issuer=2):
    return SmallRider(rider, issuer).scan(1, 1, TapKind.ENTRY, AT_US + rider)


BATCH, ANOTHER = CITY.seals(CityTail(), scan(1), forged(scan(2)), scan(3)), CITY.seals(CityTail(), scan(4))


class Chained:
    """A small log of some payloads behind the keys: checkpoints, and proofs of its entries, signed and cosigned."""

    def __init__(self, *payloads):
        self.head, self.frames, self.leaves = append(Head(), 10, [*KEYS, *payloads])

    def note(self, size=None):
        size = len(self.leaves) if size is None else size
        return SIGN.note(Checkpoint(ORIGIN, size, root(self.leaves[:size])))

    def proof(self, index, size=None):
        size = len(self.leaves) if size is None else size
        path = prove_inclusion(
            index=index, size=size, read_node=lambda level, at: root(self.leaves[at << level : (at + 1) << level])
        )
        return evidence.proof_item(read_entry(self.frames[index]), path, self.note(size))


TOLD = Chained((EntryKind.BATCH, BATCH.signed_header), (EntryKind.LOOK, b"one"))
RETOLD = Chained((EntryKind.BATCH, ANOTHER.signed_header), (EntryKind.LOOK, b"one"), (EntryKind.LOOK, b"two"))
AT = len(KEYS)
KEY_PROOFS = [TOLD.proof(at) for at in range(AT)]


def _rollback():
    return [ALDER.cosigns(TOLD.note(size), at_s).encode() for size, at_s in ((AT + 2, 2 * 10**9), (AT, 2 * 10**9 + 1))]


def _double_term():
    terms = [Term(1, size, bytes(32), HOUSE_KEY.public, sha256(ORIGIN.encode())) for size in (5, 6)]
    return [(term.to_bytes(), term.sign(ALDER.cosigning.key)) for term in terms]


def files():
    """Each kind's file, as text."""
    false = CITY.signs_false_root(BATCH)
    codes = [code for _tap, code in (scan(1), forged(scan(2)), scan(3))]
    kinds = EvidenceKind
    return {
        kinds.FORK_SAME_SIZE: evidence.two_of(kinds.FORK_SAME_SIZE, TOLD.note().encode(), RETOLD.note(AT + 2).encode()),
        kinds.FORK_ANY_SIZE: evidence.two_of(kinds.FORK_ANY_SIZE, TOLD.proof(AT), RETOLD.proof(AT)),
        kinds.DOUBLE_BATCH: evidence.two_of(kinds.DOUBLE_BATCH, BATCH.signed_header, ANOTHER.signed_header, KEY_PROOFS[1:2]),
        kinds.BAD_ROOT: evidence.two_of(kinds.BAD_ROOT, false.signed_header, false.body, KEY_PROOFS[1:2]),
        kinds.BAD_RIDER_SIGNATURE: evidence.bad_rider_signature(AT, TOLD.frames[AT], 1, BATCH.body, codes[1], KEY_PROOFS[1:5]),
        kinds.WRONG_STATE: evidence.wrong_state(TOLD.note(), AT + 1),
        kinds.ROLLBACK: evidence.two_of(kinds.ROLLBACK, *_rollback()),
        kinds.DOUBLE_TERM: evidence.double_term(*_double_term()),
        kinds.BROKEN_RECEIPT: evidence.two_of(kinds.BROKEN_RECEIPT, TOLD.proof(AT), RETOLD.proof(AT)),
    }


FILES = files()


@cache
def replayed(checkpoint):
    """What a replay says of the one log whose last entry is a look that is none (the log itself is judged in the stories)."""
    return (AT + 1, "a look entry has 48 bytes") if checkpoint.root == TOLD.head.root() else None


def judged(text):
    """Who did what, as a reader with the policy alone finds it."""
    return check_evidence(evidence.read_evidence(text), POLICY, fails_at=replayed)
