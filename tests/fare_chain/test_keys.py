from dataclasses import replace

import pytest

from fare_chain.errors import Conflict, Malformed, Untrusted
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey, in_context, is_signed

KEY = SigningKey(bytes([1]) * 32)
PUBLIC = PublicKey(2, KeyUse.BATCH, KEY.public, 100, 200)


def test_the_first_vector_of_rfc_8032_is_made_and_checked():
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"") == signature
    assert is_signed(key.public, b"", signature)


def test_a_signature_holds_for_its_key_and_message_only():
    signature = KEY.sign(b"message")
    assert is_signed(KEY.public, b"message", signature)
    assert not is_signed(KEY.public, b"massage", signature)
    assert not is_signed(SigningKey(bytes(32)).public, b"message", signature)


@pytest.mark.parametrize(
    ("public", "signature"), [(b"", bytes(64)), (bytes(33), bytes(64)), (bytes(32), b""), (bytes(32), bytes(65))]
)
def test_what_has_the_wrong_length_is_simply_no_signature(public, signature):
    assert not is_signed(public, b"message", signature)


def test_a_signature_in_one_context_is_none_in_another():
    signature = KEY.sign_in("batch", b"message")
    assert in_context("batch", b"message") == b"fare-chain/batch/v1\nmessage"
    assert is_signed(KEY.public, in_context("batch", b"message"), signature)
    assert not is_signed(KEY.public, in_context("window", b"message"), signature)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_malformed(length):
    with pytest.raises(Malformed, match=f"has {length} bytes, expected 32"):
        SigningKey(bytes(length))


def test_generated_keys_differ_and_come_back_from_their_seed():
    one, two = SigningKey.generate(), SigningKey.generate()
    assert one.public != two.public
    assert SigningKey(one.seed).public == one.public


def test_a_key_id_binds_owner_and_use_and_not_the_validity():
    assert len(PUBLIC.key_id) == 4
    assert replace(PUBLIC, not_after_us=300).key_id == PUBLIC.key_id
    others = {replace(PUBLIC, owner=3).key_id, replace(PUBLIC, use=KeyUse.ISSUER).key_id, replace(PUBLIC, public=bytes(32)).key_id}
    assert len(others | {PUBLIC.key_id}) == 4


def test_a_key_is_valid_from_its_first_moment_to_just_before_its_last():
    assert [PUBLIC.is_valid_at(at) for at in (99, 100, 199, 200)] == [False, True, True, False]


def test_the_ring_finds_a_key_by_owner_use_and_id():
    ring = KeyRing([PUBLIC])
    assert ring.find(owner=2, use=KeyUse.BATCH, key_id=PUBLIC.key_id) == PUBLIC
    assert ring.find(owner=3, use=KeyUse.BATCH, key_id=PUBLIC.key_id) is None
    assert ring.find(owner=2, use=KeyUse.ISSUER, key_id=PUBLIC.key_id) is None
    assert ring.valid(owner=2, use=KeyUse.BATCH, key_id=PUBLIC.key_id, at_us=150) == PUBLIC


def test_the_ring_says_whether_a_key_is_missing_or_not_valid():
    ring = KeyRing([PUBLIC])
    with pytest.raises(Untrusted, match="member 2 has no LOG key"):
        ring.valid(owner=2, use=KeyUse.LOG, key_id=PUBLIC.key_id, at_us=150)
    with pytest.raises(Untrusted, match="valid from 100 to 200, not at 200"):
        ring.valid(owner=2, use=KeyUse.BATCH, key_id=PUBLIC.key_id, at_us=200)


def test_a_later_validity_replaces_the_earlier_and_the_first_ring_stays():
    ring = KeyRing([PUBLIC])
    withdrawn = ring.including(replace(PUBLIC, not_after_us=150))
    assert (len(ring), len(withdrawn)) == (1, 1)
    assert [key.not_after_us for ring in (ring, withdrawn) for key in ring] == [200, 150]


def test_two_keys_of_one_id_are_a_conflict(monkeypatch):
    monkeypatch.setattr(PublicKey, "key_id", property(lambda _: b"same"))
    with pytest.raises(Conflict, match="share the id"):
        KeyRing([PUBLIC, replace(PUBLIC, public=bytes(32))])
