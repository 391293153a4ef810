import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_chain import batch
from fare_chain.batch import HEADER_BYTES, MOST_TAPS, SIGNED_HEADER_BYTES, CityTail
from fare_chain.errors import FareChainError, Malformed, Untrusted
from fare_chain.hashing import ZERO_HASH, sha256
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.tap import TAP_BYTES, Tap, TapKind

KEY = SigningKey(bytes([7]) * 32)
PUBLIC = PublicKey(2, KeyUse.BATCH, KEY.public, 0, 4_000_000_000_000_000)
RING = KeyRing([PUBLIC])


def code_of(number: int) -> bytes:
    return number.to_bytes(4, "big") * 10


def run_of(count: int, host: int = 2) -> bytes:
    return b"".join(
        Tap(10**15 - number, bytes(16), sha256(code_of(number)), number, 7, 1, host, 3, TapKind.ENTRY).to_bytes()
        for number in range(count)
    )


def sealed_of(count: int, tail: CityTail = CityTail(), *, with_codes: bool = True) -> batch.SealedBatch:  # noqa: B008  a value
    codes = [code_of(number) for number in range(count)] if with_codes else []
    return batch.seal(run_of(count), codes, city=2, tail=tail, key=KEY, key_id=PUBLIC.key_id)


@pytest.mark.parametrize("count", [1, 2, 3, 255, MOST_TAPS])
@pytest.mark.parametrize("with_codes", [True, False], ids=["with-codes", "codes-dropped"])
def test_what_was_sealed_unseals_to_the_same(count, with_codes):
    sealed = sealed_of(count, with_codes=with_codes)
    found = batch.unseal(sealed.to_bytes(), RING)
    assert found == sealed
    assert found.header.count == count
    assert (found.header.first_us, found.header.last_us) == (10**15 - count + 1, 10**15)
    assert len(found.signed_header) == SIGNED_HEADER_BYTES


def test_dropping_the_codes_breaks_no_hash():
    sealed = sealed_of(5)
    dropped = sealed.signed_header + sealed.body
    assert batch.unseal(dropped, RING).header == sealed.header


@given(st.integers(1, 5), st.data())
def test_any_flipped_bit_is_refused(count, data):
    whole = sealed_of(count).to_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises((Malformed, Untrusted)):
        batch.unseal(bytes(flipped), RING)


@given(st.integers(1, 4), st.data())
def test_a_batch_that_was_cut_or_grew_is_refused(count, data):
    sealed = sealed_of(count)
    whole = sealed.to_bytes()
    size = data.draw(st.integers(0, len(whole) - 1).filter(lambda size: size != SIGNED_HEADER_BYTES + len(sealed.body)))
    with pytest.raises((Malformed, Untrusted)):
        batch.unseal(whole[:size], RING)
    with pytest.raises((Malformed, Untrusted)):
        batch.unseal(whole + data.draw(st.binary(min_size=1, max_size=90)), RING)


@given(st.binary(max_size=400))
def test_outside_bytes_cause_no_other_error_than_ours(data):
    with pytest.raises(FareChainError):
        batch.unseal(data, RING)
    with pytest.raises(FareChainError):
        batch.unseal(b"FCBATCH1" + data, RING)


@given(st.lists(st.binary(max_size=batch.LONGEST_CODE), max_size=8))
def test_rider_codes_come_apart_as_they_were_put_together(codes):
    assert batch.read_codes(batch.write_codes(codes)) == codes


@given(st.binary(max_size=1200))
def test_rider_codes_are_read_in_one_way_or_refused(data):
    try:
        codes = batch.read_codes(data)
    except Malformed:
        return
    assert batch.write_codes(codes) == data


def test_batches_follow_one_another_by_number_and_hash():
    first = sealed_of(2)
    assert (first.header.city_seq, first.header.prev_header) == (0, ZERO_HASH)
    tail = CityTail().after(first.header)
    second = sealed_of(3, tail)
    assert (second.header.city_seq, second.header.prev_header) == (1, sha256(first.header.to_bytes()))
    assert tail.after(second.header) == CityTail(2, second.header.hash())


def test_sealing_the_same_taps_twice_gives_the_same_bytes():
    assert sealed_of(9).to_bytes() == sealed_of(9).to_bytes()


@pytest.mark.parametrize("count", [0, MOST_TAPS + 1])
def test_a_batch_holds_1_to_4096_taps(count):
    with pytest.raises(Malformed, match=f"count is {count}, expected 1 to 4096"):
        sealed_of(count)


def test_a_city_seals_no_taps_of_another():
    with pytest.raises(Malformed, match="tap 0: host is 3, but the batch is city 2's"):
        batch.seal(run_of(2, host=3), [], city=2, tail=CityTail(), key=KEY, key_id=PUBLIC.key_id)


def test_a_refused_reading_is_never_sealed():
    refused = Tap(1, bytes(16), bytes(32), 1, 1, 1, 2, 2, TapKind.REFUSED).to_bytes()
    with pytest.raises(Malformed, match="tap 0: kind is 6"):
        batch.seal(refused, [], city=2, tail=CityTail(), key=KEY, key_id=PUBLIC.key_id)


def test_a_header_is_read_from_the_beginning_of_anything_longer():
    sealed = sealed_of(2)
    assert batch.read_header(sealed.to_bytes()) == sealed.header
    assert batch.read_header(memoryview(sealed.to_bytes())[:HEADER_BYTES]) == sealed.header


def test_who_samples_roots_still_sees_every_other_lie():
    sealed = sealed_of(3)
    header = batch.BatchHeader(
        **{name: getattr(sealed.header, name) for name in sealed.header.__slots__} | {"taps_root": bytes(32)}
    )
    batch.check_body(header, sealed.body, with_root=False)
    with pytest.raises(Untrusted, match="false root"):
        batch.check_body(header, sealed.body)
    with pytest.raises(Untrusted, match="body_hash"):
        batch.check_body(header, sealed.body[:-TAP_BYTES], with_root=False)


def test_a_signature_is_good_for_the_time_of_its_last_tap():
    ended = KeyRing([PublicKey(2, KeyUse.BATCH, KEY.public, 0, 10**15)])
    alive = KeyRing([PublicKey(2, KeyUse.BATCH, KEY.public, 0, 10**15 + 1)])
    sealed = sealed_of(2)
    batch.check_signature(sealed.header, sealed.signature, alive)
    with pytest.raises(Untrusted, match="is valid from"):
        batch.check_signature(sealed.header, sealed.signature, ended)
