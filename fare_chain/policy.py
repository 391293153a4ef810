"""Who must have signed a checkpoint (C2SP tlog-policy): the logs, the cosigners, and the quorum over them.

    log <vkey> [url]                    witness <name> <vkey> [url]
    group <name> all|any|<k> <members>  quorum <name>|none              # comment

Ours has the log's keys, nine clearing keys as witnesses, `group cities 7 ...` over them and `quorum cities`. Witnesses outside
the quorum (the cities' append-only keys, public witnesses) may stand there too, with the address that takes submissions.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fare_chain.checkpoint import Checkpoint, read_text
from fare_chain.errors import Malformed, Untrusted
from fare_chain.note import KeyType, Note, NoteLine, NoteVerifier, read_note, read_vkey, signed_at_s
from fare_chain.proofs import is_decimal

_NONE = "none"


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A log or a witness of a policy: its name there, its key, and where it answers ("" where nobody says)."""

    name: str
    verifier: NoteVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these members (witnesses or groups) must have signed."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SealedCheckpoint:
    """A checkpoint that a log of the policy signed, and which of its witnesses cosigned it, by name, with the line."""

    checkpoint: Checkpoint
    note: Note
    cosigned: Mapping[str, NoteLine]
    is_final: bool
    """Whether the quorum has cosigned it."""

    def latest_s(self, names: Collection[str] | None = None) -> int:
        """The latest Unix second of a cosignature (by one of these witnesses); 0 where there is none."""
        moments = (signed_at_s(line.signature) for name, line in self.cosigned.items() if names is None or name in names)
        return max(moments, default=0)


@dataclass(frozen=True, slots=True)
class Policy:
    """The keys that a reader trusts, and how many of them it asks for."""

    logs: tuple[PolicyKey, ...]
    witnesses: tuple[PolicyKey, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = _NONE

    @property
    def log_verifiers(self) -> tuple[NoteVerifier, ...]:
        """The keys that may sign as the log: more than one after a change of term, or with ML-DSA-44 beside Ed25519."""
        return tuple(log.verifier for log in self.logs)

    def witness(self, name: str) -> PolicyKey | None:
        """The witness of that name in the policy."""
        return next((witness for witness in self.witnesses if witness.name == name), None)

    def quorum_witnesses(self) -> tuple[PolicyKey, ...]:
        """The witnesses whose cosignatures the quorum can count, in the policy's order."""
        inside = set(self._leaves(self.quorum))
        return tuple(witness for witness in self.witnesses if witness.name in inside)

    def outside_witnesses(self) -> tuple[PolicyKey, ...]:
        """The witnesses whose cosignatures the quorum does not count, in the policy's order."""
        inside = set(self._leaves(self.quorum))
        return tuple(witness for witness in self.witnesses if witness.name not in inside)

    def is_quorum(self, cosigned: Collection[str]) -> bool:
        """Whether these witnesses, by name, are enough; `quorum none` asks for nobody."""
        return self.quorum == _NONE or self._holds(self.quorum, cosigned)

    def open(self, note: str) -> SealedCheckpoint:
        """Read a checkpoint; Malformed or Untrusted where no log of the policy signed it, or a known key's line is wrong."""
        read = read_note(note)
        checkpoint = read_text(read.text)
        names = {witness.verifier.to_vkey(): witness.name for witness in self.witnesses}
        verified = read.signed_by([*self.log_verifiers, *(witness.verifier for witness in self.witnesses)])
        if not any(verifier in self.log_verifiers and verifier.name == checkpoint.origin for verifier, _line in verified):
            raise Untrusted(f"no log of the policy signed this checkpoint of {checkpoint.origin!r}: pass the policy of that log")
        cosigned = {names[verifier.to_vkey()]: line for verifier, line in verified if verifier.to_vkey() in names}
        return SealedCheckpoint(checkpoint, read, cosigned, self.is_quorum(cosigned))

    def open_final(self, note: str) -> SealedCheckpoint:
        """Read a checkpoint that the quorum has cosigned; Untrusted says who is missing."""
        sealed = self.open(note)
        if not sealed.is_final:
            missing = [witness.name for witness in self.quorum_witnesses() if witness.name not in sealed.cosigned]
            raise Untrusted(
                f"the checkpoint of size {sealed.checkpoint.size} is provisional: {len(sealed.cosigned)} witnesses cosigned it, "
                f"quorum {self.quorum!r} is not reached without some of {', '.join(missing)}"
            )
        return sealed

    def to_text(self) -> str:
        """Write the policy."""
        lines = [f"log {' '.join(filter(None, (log.verifier.to_vkey(), log.url)))}" for log in self.logs]
        lines += [f"witness {' '.join(filter(None, (each.name, each.verifier.to_vkey(), each.url)))}" for each in self.witnesses]
        lines += [f"group {name} {group.threshold} {' '.join(group.members)}" for name, group in self.groups.items()]
        return "\n".join([*lines, f"quorum {self.quorum}", ""])

    def _holds(self, name: str, cosigned: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._holds(member, cosigned) for member in group.members) >= group.threshold

    def _leaves(self, name: str) -> Iterator[str]:
        group = self.groups.get(name)
        if group is None:
            yield name
            return
        for member in group.members:
            yield from self._leaves(member)


def read_policy(text: str) -> Policy:
    """Read a policy; Malformed names the line that is not as the format wants it."""
    reading = _Reading()
    for number, line in enumerate(text.split("\n"), start=1):
        items = line.split("#", 1)[0].split(" ") if "\t" not in line else line.split("#", 1)[0].replace("\t", " ").split(" ")
        words = [item for item in items if item]
        if not words:
            continue
        try:
            reading.take(words)
        except Malformed as error:
            raise Malformed(f"policy line {number}: {error}") from error
    if reading.quorum is None:
        raise Malformed("a policy has exactly one line 'quorum <name>' or 'quorum none': add it")
    return Policy(tuple(reading.logs), tuple(reading.witnesses), reading.groups, reading.quorum)


class _Reading:
    """What the lines so far define."""

    def __init__(self) -> None:
        self.logs: list[PolicyKey] = []
        self.witnesses: list[PolicyKey] = []
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self.members: set[str] = set()

    def take(self, words: list[str]) -> None:
        """Take one line's words."""
        kind, items = words[0], words[1:]
        takers = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum}
        if kind not in takers:
            raise Malformed(f"{kind[:40]!r} begins no line of a policy: expected log, witness, group or quorum")
        takers[kind](items)

    def _log(self, items: list[str]) -> None:
        if not 1 <= len(items) <= 2:
            raise Malformed("a log is 'log <vkey> [url]'")
        verifier = read_vkey(items[0])
        if verifier.type is KeyType.COSIGNATURE:
            raise Malformed("a log signs with type 01 or 06, this key is for cosignatures (04)")
        _check_new(verifier, self.logs, "log")
        self.logs.append(PolicyKey(verifier.name, verifier, items[1] if len(items) > 1 else ""))

    def _witness(self, items: list[str]) -> None:
        if not 2 <= len(items) <= 3:
            raise Malformed("a witness is 'witness <name> <vkey> [url]'")
        verifier = read_vkey(items[1])
        if verifier.type is KeyType.ED25519:
            raise Malformed("a witness cosigns with type 04 or 06, this key is for notes (01)")
        self._define(items[0])
        _check_new(verifier, self.witnesses, "witness")
        self.witnesses.append(PolicyKey(items[0], verifier, items[2] if len(items) > 2 else ""))

    def _group(self, items: list[str]) -> None:
        if len(items) < 3:
            raise Malformed("a group is 'group <name> all|any|<k> <members>', with one member at least")
        name, many, members = items[0], items[1], items[2:]
        for member in members:
            if not self._is_defined(member):
                raise Malformed(f"member {member!r} is not defined above")
            if member in self.members:
                raise Malformed(f"{member!r} is a member already: each counts once")
            self.members.add(member)
        threshold = {"all": len(members), "any": 1}.get(many)
        if threshold is None:
            if not is_decimal(many) or not 1 <= int(many) <= len(members):
                raise Malformed(f"threshold {many!r} is not all, any, or from 1 to {len(members)}, the number of members")
            threshold = int(many)
        self._define(name)
        self.groups[name] = Group(threshold, tuple(members))

    def _quorum(self, items: list[str]) -> None:
        if len(items) != 1:
            raise Malformed("the quorum is 'quorum <name>' or 'quorum none'")
        if self.quorum is not None:
            raise Malformed("a policy has one quorum line")
        if items[0] != _NONE and not self._is_defined(items[0]):
            raise Malformed(f"quorum {items[0]!r} is not defined above")
        self.quorum = items[0]

    def _is_defined(self, name: str) -> bool:
        return name in self.groups or any(witness.name == name for witness in self.witnesses)

    def _define(self, name: str) -> None:
        if name == _NONE:
            raise Malformed("nothing may be named 'none'")
        if self._is_defined(name):
            raise Malformed(f"{name!r} is defined already")


def _check_new(verifier: NoteVerifier, known: Iterable[PolicyKey], kind: str) -> None:
    if any(other.verifier.public == verifier.public for other in known):
        raise Malformed(f"the key of {verifier.name!r} stands in another {kind} line: a key counts once, whatever its name")
