"""Whether the house's receipt proves that a batch stands on the ledger: nothing is believed, everything is checked."""

from dataclasses import dataclass

from fare_chain.checkpoint import read_checkpoint
from fare_chain.errors import Untrusted
from fare_chain.events import EntryKind
from fare_chain.hashing import leaf_hash
from fare_chain.identifiers import SCHEME
from fare_chain.keys import KeyRing, KeyUse, PublicKey
from fare_chain.ledger import read_entry
from fare_chain.note import NoteVerifier
from fare_chain.proofs import read_proof_file, verify_inclusion


@dataclass(frozen=True, slots=True)
class BatchReceipt:
    """A receipt that holds: where the batch's entry stands, when it was recorded, and the size of the tree that has it."""

    index: int
    recorded_us: int
    size: int


def check_receipt(text: str, signed_header: bytes, ring: KeyRing) -> BatchReceipt:
    """Hold a receipt to a batch: Malformed or Untrusted names the first thing that is wrong.

    Signed by the log's key (of the ring, valid when the entry was recorded), whose name is the checkpoint's origin; the entry is a
    BATCH entry with this very header and signature; and its path leads to the checkpoint's root.
    """
    proof = read_proof_file(text)
    entry = read_entry(proof.extra)
    if entry.kind is not EntryKind.BATCH or entry.payload != signed_header:
        raise Untrusted(f"the receipt is for another batch: its entry is {entry.kind.name} {entry.index} with another header")
    if entry.index != proof.index:
        raise Untrusted(f"the receipt's entry says index {entry.index}, its path index {proof.index}: one of them was changed")
    origin = proof.checkpoint.partition("\n")[0]
    keys = [key for key in log_keys(ring) if key.is_valid_at(entry.recorded_us)]
    checkpoint = read_checkpoint(proof.checkpoint, [NoteVerifier(origin, key.public) for key in keys])
    verify_inclusion(leaf_hash(proof.extra), proof.path, index=proof.index, size=checkpoint.size, root=checkpoint.root)
    return BatchReceipt(entry.index, entry.recorded_us, checkpoint.size)


def log_keys(ring: KeyRing) -> list[PublicKey]:
    """The scheme's keys that sign the log's checkpoints."""
    return [key for key in ring if key.owner == SCHEME and key.use is KeyUse.LOG]
