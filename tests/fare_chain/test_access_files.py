"""Who reads, by the files of an access key: tokens are renewed before they expire, and a key for something else is refused."""

import pytest

from fare_chain import access_files
from fare_chain.access_files import Access, read_access
from fare_chain.access_tokens import read_token
from fare_chain.errors import Malformed, Unknown
from fare_chain.identifiers import MemberNumber, Micros
from fare_chain.key_files import write_key_pair
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey

ORIGIN = "small.example/clearing"
KEY = SigningKey(bytes(range(32)))


def described(owner=60_001, use=KeyUse.ACCESS):
    return PublicKey(MemberNumber(owner), use, KEY.public, Micros(0), Micros(4 * 10**15))


def test_a_token_is_renewed_long_before_it_expires_and_for_each_log(monkeypatch):
    now_s = 1_795_000_000.0
    monkeypatch.setattr(access_files.time, "time", lambda: now_s)
    access, ring = Access(KEY, described()), KeyRing([described()])
    first = access.header(ORIGIN)["Authorization"].removeprefix("Bearer ")
    now_s += 29
    assert access.header(ORIGIN)["Authorization"].endswith(first)
    now_s += 2
    second = access.header(ORIGIN)["Authorization"].removeprefix("Bearer ")
    assert second != first
    assert read_token(second, ring, audience=ORIGIN, now_s=int(now_s) + 29).owner == 60_001
    assert not access.header("other.example/log")["Authorization"].endswith(second)


def test_an_access_key_is_read_with_the_public_half_beside_it(tmp_path):
    for name, owner, use in (("auditor", 60_001, KeyUse.ACCESS), ("city", 3, KeyUse.ACCESS), ("log", 0, KeyUse.LOG)):
        write_key_pair(tmp_path, name, KEY, described(owner, use))
    auditor = read_access(tmp_path / "auditor.key", "audit")
    assert (auditor.looks, auditor.basis, int(auditor.described.owner)) == (True, "audit", 60_001)
    assert not read_access(tmp_path / "city.key").looks
    assert read_access(None) is None
    with pytest.raises(Malformed, match="is a LOG key"):
        read_access(tmp_path / "log.key")
    with pytest.raises(Unknown):
        read_access(tmp_path / "nobody.key")
