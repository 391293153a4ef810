"""Who may sequence this ledger: the key that the cities' last term names, or before any term the one that was registered first."""

from sqlalchemy.ext.asyncio import AsyncConnection

from fare_chain.errors import Conflict
from fare_chain.events import EntryKind
from fare_chain.governance import TermEntry, check_term, read_term_entry
from fare_chain.hashing import sha256
from fare_chain.keys import KeyRing, KeyUse
from settlement.publishing import ring_on_ledger
from settlement.store import ledger as store
from settlement.store.ledger import StoredHead


async def admit(connection: AsyncConnection, head: StoredHead, public: bytes, term: TermEntry | None) -> TermEntry | None:
    """The term that has to be appended before anything else, or None where the key may go on as it is.

    Conflict where the ledger's last term names another key, or where `term` does not continue this ledger; Untrusted where too few
    cities signed it.
    """
    told = [read_term_entry(payload).term for payload in await store.read_payloads(connection, EntryKind.TERM)]
    if term is not None and all(known.number < term.term.number for known in told):
        _check(term, head, public, await ring_on_ledger(connection))
        return term
    first = [key.public for key in await ring_on_ledger(connection) if key.use is KeyUse.LOG][:1]
    if not told and first not in ([], [public]):
        raise Conflict(
            "another log key than this house's was registered first, and no term names this one: start it with --standby; "
            "to take over, let the cities sign a term for it (`fare-chain term propose`) and start it with --term"
        )
    if told and told[-1].log_public != public:
        raise Conflict(
            f"the ledger's term {told[-1].number} names another sequencer than this house's key: it may read and not append; "
            "let the cities sign a term for it (`fare-chain term propose`) and start it with --term"
        )
    return None


def _check(entry: TermEntry, head: StoredHead, public: bytes, ring: KeyRing) -> None:
    term = entry.term
    if term.origin_hash != sha256(head.origin.encode()):
        raise Conflict(f"term {term.number} is for another log than {head.origin!r}: propose one for this log")
    if term.log_public != public:
        raise Conflict(f"term {term.number} names another key than this house's own: start the house whose key it names")
    if (term.size, term.root) != (head.head.size, head.head.root()):
        raise Conflict(
            f"term {term.number} continues from size {term.size}, the ledger stands at {head.head.size}: "
            "propose the term again from the last checkpoint"
        )
    if not any(key.use is KeyUse.LOG and key.public == public for key in ring):
        # Its first checkpoint would be by a key that no reader of the ledger knows.
        raise Conflict("this house's key is not registered on the ledger: a standby's .entry has to be there before it is needed")
    clearing = [(int(key.owner), key.public) for key in ring if key.use is KeyUse.CLEARING]
    members = len({member for member, _public in clearing})
    check_term(entry, clearing, members - members // 4)
