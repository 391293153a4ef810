"""The scheme's own policy, made from its members' keys: the log, and so many of the cities' clearing keys."""

from collections.abc import Iterable
from dataclasses import dataclass

from fare_chain.errors import Unknown
from fare_chain.keys import KeyUse, PublicKey
from fare_chain.ml_dsa import ML_DSA_PUBLIC_BYTES
from fare_chain.note import KeyType, NoteVerifier
from fare_chain.policy import Group, Policy, PolicyKey

CITIES = "cities"
"""The group that is the quorum."""
_CLEARING, _WITNESS = "clearing", "witness"


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A city as a policy names it: slug, its two keys, and where its mirror answers ("" where nobody says)."""

    slug: str
    clearing: bytes
    witness: bytes = b""
    url: str = ""


def scheme_policy(origin: str, log_keys: Iterable[bytes], cities: Iterable[Cosigner], quorum: int | None = None) -> Policy:
    """The policy of a log: `quorum` cities of these, three quarters rounded up where nobody says (7 of 9)."""
    cities = list(cities)
    if not cities:
        raise Unknown("a policy needs the clearing keys of the cities: none is here")
    host = origin.partition("/")[0]
    logs = tuple(PolicyKey(origin, NoteVerifier(origin, public, _log_type(public))) for public in log_keys)
    clearing = tuple(
        PolicyKey(
            city.slug,
            NoteVerifier(f"{city.slug}.{host}/{_CLEARING}", city.clearing, KeyType.COSIGNATURE),
            f"{city.url}/{_CLEARING}" if city.url else "",
        )
        for city in cities
    )
    witness = tuple(
        PolicyKey(
            f"{city.slug}-{_WITNESS}",
            NoteVerifier(f"{city.slug}.{host}/{_WITNESS}", city.witness, KeyType.COSIGNATURE),
            city.url,
        )
        for city in cities
        if city.witness
    )
    threshold = len(cities) - len(cities) // 4 if quorum is None else quorum
    group = Group(threshold, tuple(city.slug for city in cities))
    return Policy(logs, clearing + witness, {CITIES: group}, CITIES)


def is_members_own(witness: PolicyKey, origin: str) -> bool:
    """Whether a key is a member's by its name, as `scheme_policy` gives it: its host is below the log's own."""
    host, _slash, _use = witness.verifier.name.partition("/")
    return host.endswith(f".{origin.partition('/')[0]}")


def cosigners_of(named: Iterable[tuple[str, PublicKey]], urls: dict[str, str]) -> list[Cosigner]:
    """The cities among public keys by file name (`shanghai-clearing`), in order of their numbers."""
    clearing: dict[str, PublicKey] = {}
    witness: dict[str, bytes] = {}
    for name, key in named:
        slug = name.rpartition("-")[0]
        if key.use is KeyUse.CLEARING:
            clearing[slug] = key
        elif key.use is KeyUse.WITNESS:
            witness[slug] = key.public
    by_number = sorted(clearing.items(), key=lambda item: item[1].owner)
    return [Cosigner(slug, key.public, witness.get(slug, b""), urls.get(slug, "")) for slug, key in by_number]


def _log_type(public: bytes) -> KeyType:
    return KeyType.ML_DSA_44 if len(public) == ML_DSA_PUBLIC_BYTES else KeyType.ED25519
