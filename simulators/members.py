"""The members' keys of a demo: made on first use, found again when the same data is run again."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from city_adapters.city import City
from fare_chain.identifiers import SCHEME, MemberNumber, Micros
from fare_chain.key_entries import write_member_key
from fare_chain.key_files import read_public_key, read_signing_key
from fare_chain.keys import KeyUse, PublicKey, SigningKey
from fare_chain.policy import Policy
from fare_chain.scheme_policy import cosigners_of, scheme_policy

HOUSE = "house"
"""Whose folder holds the log's key; every other folder is a city's, by its slug."""
LOG_KEY = "house-log"
ACCESS_KEY = "house-access"
REPORTS_KEY = "house-reports"
POLICY = "policy"
"""The policy's file in a demo's data."""
VALID_US = 366 * 86_400 * 1_000_000
"""How long a demo's keys are valid; data that is older needs new keys, and so new data."""
_HOUR_US = 3_600 * 1_000_000


@dataclass(frozen=True, slots=True)
class KeyName:
    """One key that the demo needs: whose folder of private keys it lies in, its file name, owner and use."""

    holder: str
    name: str
    owner: MemberNumber
    use: KeyUse


def key_names(cities: Iterable[City]) -> list[KeyName]:
    """The log's key, the scheme's for access and for reports, and each city's keys, one for each use."""
    names = [KeyName(HOUSE, LOG_KEY, SCHEME, KeyUse.LOG), KeyName(HOUSE, ACCESS_KEY, SCHEME, KeyUse.ACCESS)]
    names.append(KeyName(HOUSE, REPORTS_KEY, SCHEME, KeyUse.REPORT))
    for city in cities:
        names.append(KeyName(city.slug, f"{city.slug}-batch", city.number, KeyUse.BATCH))
        names.append(KeyName(city.slug, issuer_key_name(city), city.number, KeyUse.ISSUER))
        uses = (KeyUse.WITNESS, KeyUse.CLEARING, KeyUse.ACCESS)
        names += [KeyName(city.slug, f"{city.slug}-{use.name.lower()}", city.number, use) for use in uses]
    return names


def issuer_key_name(city: City) -> str:
    """Under which name a city keeps the key that signs its riders' credentials."""
    return f"{city.slug}-issuer"


def make_missing_keys(private: Path, public: Path, names: Iterable[KeyName], *, now_us: int) -> int:
    """Make every key that is not there yet; how many were made. Each holder has a folder of its own below `private`.

    A key is there once its entry is, the last of its files: one without was never handed to anybody, so a start that died half
    way makes it anew.
    """
    begins = now_us - now_us % _HOUR_US
    made = 0
    for wanted in names:
        if (public / f"{wanted.name}.entry").exists():
            continue
        own = private / wanted.holder
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        for ending in ("key", "pub"):
            (own / f"{wanted.name}.{ending}").unlink(missing_ok=True)
        key = SigningKey.generate()
        described = PublicKey(wanted.owner, wanted.use, key.public, Micros(begins), Micros(begins + VALID_US))
        write_member_key(own, public, wanted.name, key, described)
        made += 1
    return made


def write_policy(data: Path, origin: str, mirror_urls: dict[str, str]) -> Policy:
    """Write the scheme's policy from the members' public keys: made anew at each start, because the mirrors' ports may differ."""
    public = [(path.stem, read_public_key(path)) for path in sorted((data / "members").glob("*.pub"))]
    logs = [key.public for _name, key in public if key.use is KeyUse.LOG]
    policy = scheme_policy(origin, logs, cosigners_of(public, mirror_urls))
    (data / POLICY).write_text(policy.to_text(), encoding="utf-8")
    return policy


def issuer_keys(private: Path, cities: Iterable[City]) -> dict[int, SigningKey]:
    """The issuer key of each city by its number: a demo plays all the rider apps, so it holds them all."""
    return {city.number: read_signing_key(private / city.slug / f"{issuer_key_name(city)}.key") for city in cities}
