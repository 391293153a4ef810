from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from city_adapters import gate
from city_adapters.deny_list import DEGRADED_AGE_US, NOBODY_DENIED, WARNING_AGE_US, DenyList, ListAge
from city_adapters.gate import Decision, GateState, Reason, Scan, decide
from fare_chain import rider_code
from fare_chain.hashing import sha256
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.rider_code import CLOCK_SKEW_US, LIFETIME_US, CodeReason, JourneyState
from fare_chain.tap import Category, TapFlag, TapKind

NOW_US = 1_790_000_000_000_000
NOW_S = NOW_US // 1_000_000
HOST, ISSUER = 1, 2
STATIONS = range(1, 400)
ISSUER_KEY = SigningKey(bytes([1]) * 32)
ISSUER_PUBLIC = PublicKey(ISSUER, KeyUse.ISSUER, ISSUER_KEY.public, 0, 2 * NOW_US)
RING = KeyRing([ISSUER_PUBLIC])
DEVICES = [SigningKey(bytes([10 + number]) * 32) for number in range(3)]
CREDENTIALS = [
    rider_code.issue_credential(
        ISSUER_KEY, ISSUER, device.public, not_before_s=NOW_S - 60, not_after_s=NOW_S + 90 * 86_400, category=Category.SENIOR
    )
    for device in DEVICES
]


def made(at_us=NOW_US, *, rider=0, counter=0, journey=None):
    return rider_code.issue(DEVICES[rider], CREDENTIALS[rider], at_us, counter, journey)


def scan(code, kind=TapKind.ENTRY, **fields):
    return replace(Scan(code, station=17, gate=4, gate_seq=9, kind=kind, host=HOST), **fields)


def decided(code, kind=TapKind.ENTRY, *, state=None, ring=RING, deny=NOBODY_DENIED, now_us=NOW_US, **fields):
    return decide(scan(code, kind, **fields), state or GateState(HOST, STATIONS), ring, deny, now_us)


def memory(state):
    """All that a state remembers, as values."""
    return (list(state._inside.items()), list(state._spent.items()), list(state._credentials))


def entered(*, rider=0, at_us=NOW_US, **limits):
    """A state in which one rider has just gone in."""
    state = GateState(HOST, STATIONS, **limits)
    return state.after(decided(made(at_us, rider=rider, counter=99), state=state, now_us=at_us))


def test_a_fresh_code_opens_and_leaves_its_tap():
    code = made()
    decision = decided(code)
    assert (decision.opens, decision.reason, decision.code) == (True, Reason.OPEN, code)
    tap = decision.tap
    assert (tap.tapped_at_us, tap.medium, tap.code_digest) == (NOW_US, sha256(DEVICES[0].public)[:16], sha256(code))
    assert (tap.host, tap.station, tap.gate, tap.gate_seq, tap.issuer) == (HOST, 17, 4, 9, ISSUER)
    assert (tap.kind, tap.category, tap.flags) == (TapKind.ENTRY, Category.SENIOR, 0)


def test_a_refused_code_leaves_a_tap_of_kind_refused():
    decision = decided(made(), now_us=NOW_US + LIFETIME_US)
    assert (decision.opens, decision.reason) == (False, Reason.STALE)
    assert decision.tap.kind is TapKind.REFUSED
    assert decision.tap.medium == CREDENTIALS[0].medium


@pytest.mark.parametrize("code", [b"", b"\x02", made()[:124], made()[:-1], made() + b"\0", b"1" * 188])
def test_bytes_that_name_no_medium_leave_no_tap(code):
    decision = decided(code)
    assert not decision.opens
    assert decision.tap is None
    assert decision.code == code


def test_a_device_goes_in_once_and_out_once():
    state = entered()
    assert decided(made(), state=state).reason is Reason.ALREADY_INSIDE
    out = decided(made(), TapKind.EXIT, state=state)
    assert out.reason is Reason.OPEN
    state.after(out)
    assert decided(made(counter=1), TapKind.EXIT, state=state).reason is Reason.NOT_INSIDE
    assert decided(made(counter=1), state=state).reason is Reason.OPEN


@pytest.mark.parametrize("kind", [TapKind.ENTRY, TapKind.EXIT])
def test_a_code_opens_one_gate_only(kind):
    state = GateState(HOST, STATIONS)
    code = made()
    state.after(decided(code, state=state))
    assert decided(code, kind, state=state, gate=5).reason is Reason.REPLAYED


def test_a_code_refused_for_its_order_is_not_spent():
    """It has moved nobody. Shown again it gets the same answer, and at the right gate it does what it was made for, once."""
    state = entered()
    code = made()
    for _ in range(3):
        refused = decided(code, state=state)
        assert refused.reason is Reason.ALREADY_INSIDE
        state.after(refused)
    state.after(decided(code, TapKind.EXIT, state=state))
    assert decided(code, state=state).reason is Reason.REPLAYED


@pytest.mark.parametrize(
    ("journey", "expected"),
    [
        (None, Reason.NOT_INSIDE),
        (JourneyState(HOST, 17, NOW_S - 900), Reason.OPEN),
        (JourneyState(HOST, 17, NOW_S + CLOCK_SKEW_US // 1_000_000), Reason.OPEN),
        (JourneyState(HOST, 17, NOW_S + CLOCK_SKEW_US // 1_000_000 + 1), Reason.NOT_INSIDE),
        (JourneyState(HOST, 17, NOW_S - 86_400), Reason.OPEN),
        (JourneyState(HOST, 17, NOW_S - 86_401), Reason.NOT_INSIDE),
        (JourneyState(HOST + 1, 17, NOW_S - 900), Reason.NOT_INSIDE),
        (JourneyState(HOST, 400, NOW_S - 900), Reason.NOT_INSIDE),
    ],
)
def test_an_exit_without_a_known_entry_opens_for_a_journey_that_began_here(journey, expected):
    assert decided(made(journey=journey), TapKind.EXIT).reason is expected


def test_an_open_entry_ends_with_the_longest_ride():
    state = entered(longest_ride_us=1000)
    medium = CREDENTIALS[0].medium
    assert state.entered_at_us(medium, NOW_US + 1000) == NOW_US
    assert state.entered_at_us(medium, NOW_US + 1001) is None
    assert decided(made(), TapKind.EXIT, state=state, now_us=NOW_US + 1000).reason is Reason.OPEN
    assert decided(made(), TapKind.EXIT, state=state, now_us=NOW_US + 1001).reason is Reason.NOT_INSIDE
    assert decided(made(), state=state, now_us=NOW_US + 1001).reason is Reason.OPEN


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": 2}, Reason.UNKNOWN_STATION),
        ({"station": 400}, Reason.UNKNOWN_STATION),
        ({"kind": TapKind.TRANSFER_ENTRY}, Reason.WRONG_KIND),
        ({"kind": TapKind.TRANSFER_EXIT}, Reason.WRONG_KIND),
        ({"kind": TapKind.MARKER}, Reason.WRONG_KIND),
        ({"kind": TapKind.REFUSED}, Reason.WRONG_KIND),
    ],
)
def test_a_gate_that_is_not_of_this_city_or_kind_stays_shut(fields, expected):
    assert decided(made(), **fields).reason is expected


PASSAGE = {17: [HOST, ISSUER]}


def at_the_passage(code, kind, *, state=None, issuers=(HOST, ISSUER), **fields):
    state = state or GateState(HOST, STATIONS, passages={17: issuers})
    return decided(code, kind, state=state, **fields)


def test_a_passage_takes_transfer_taps_of_its_two_cities_riders():
    assert at_the_passage(made(), TapKind.TRANSFER_ENTRY).reason is Reason.OPEN
    assert at_the_passage(made(), TapKind.TRANSFER_ENTRY, issuers=[HOST]).reason is Reason.PASSAGE_CLOSED
    assert at_the_passage(made(), TapKind.TRANSFER_ENTRY, station=18).reason is Reason.WRONG_KIND


def test_through_a_passage_a_rider_goes_out_and_in():
    state = GateState(HOST, STATIONS, passages=PASSAGE)
    assert at_the_passage(made(), TapKind.TRANSFER_EXIT, state=state).reason is Reason.NOT_INSIDE
    state.after(at_the_passage(made(), TapKind.TRANSFER_ENTRY, state=state))
    assert decided(made(counter=1), TapKind.ENTRY, state=state).reason is Reason.ALREADY_INSIDE
    state.after(at_the_passage(made(counter=2), TapKind.TRANSFER_EXIT, state=state))
    assert decided(made(counter=3), TapKind.ENTRY, state=state).reason is Reason.OPEN


def test_a_marker_is_passed_inside_and_leaves_the_rider_there():
    state = GateState(HOST, STATIONS, markers=True)
    assert decided(made(), TapKind.MARKER, state=state).reason is Reason.NOT_INSIDE
    state.after(decided(made(), TapKind.ENTRY, state=state))
    passed = decided(made(counter=1), TapKind.MARKER, state=state)
    assert (passed.reason, passed.tap.kind) == (Reason.OPEN, TapKind.MARKER)
    state.after(passed)
    assert decided(made(counter=2), TapKind.ENTRY, state=state).reason is Reason.ALREADY_INSIDE
    assert decided(made(counter=3), TapKind.EXIT, state=state).reason is Reason.OPEN


def test_a_tap_carries_the_step_that_its_credential_attests():
    lifted = rider_code.issue_credential(
        ISSUER_KEY, ISSUER, DEVICES[0].public, not_before_s=NOW_S - 60, not_after_s=NOW_S + 60, entitlement=3
    )
    assert decided(rider_code.issue(DEVICES[0], lifted, NOW_US, 0)).tap.entitlement == 3


def test_of_many_faults_the_first_in_order_is_reported():
    """One scan with every fault there is; they are taken away one after the other."""
    forged = replace(CREDENTIALS[0], not_after_s=NOW_S, signature=bytes([1]) * 64)
    expired = rider_code.issue(DEVICES[0], forged, NOW_US - LIFETIME_US, 0)[:124] + bytes([1]) * 64
    forged = replace(forged, not_after_s=NOW_S + 1)
    stale = rider_code.issue(DEVICES[0], forged, NOW_US - LIFETIME_US, 0)[:124] + bytes([1]) * 64
    fresh = rider_code.issue(DEVICES[0], forged, NOW_US, 0)[:124] + bytes([1]) * 64
    attested = made()[:124] + bytes([1]) * 64
    spent = entered()
    for code in (expired, stale, fresh):
        spent.after(replace(decided(made()).tap, code_digest=sha256(code)))
    denying = DenyList(1, NOW_US - DEGRADED_AGE_US, frozenset([CREDENTIALS[0].medium]))
    old = DenyList(1, NOW_US - DEGRADED_AGE_US, frozenset())
    withdrawn = KeyRing([replace(ISSUER_PUBLIC, not_after_us=NOW_US)])
    nobody, place = KeyRing([]), {"station": 400, "kind": TapKind.MARKER}
    found = [
        decided(expired[:124], state=spent, deny=denying, ring=nobody, **place),
        decided(expired, state=spent, deny=denying, ring=nobody, **place),
        decided(expired, state=spent, deny=denying, ring=nobody, kind=TapKind.MARKER),
        decided(expired, state=spent, deny=denying, ring=nobody),
        decided(stale, state=spent, deny=denying, ring=nobody),
        decided(fresh, state=spent, deny=denying, ring=nobody),
        decided(fresh, state=entered(), deny=denying, ring=nobody),
        decided(fresh, state=entered(), deny=old, ring=nobody),
        decided(fresh, state=entered(), ring=nobody),
        decided(fresh, state=entered(), ring=withdrawn),
        decided(fresh, state=entered()),
        decided(attested, state=entered()),
        decided(made(), state=entered()),
        decided(made()),
    ]
    assert [decision.reason.name for decision in found] == [
        "STRIPPED", "UNKNOWN_STATION", "WRONG_KIND", "EXPIRED", "STALE", "REPLAYED", "DENIED", "DENY_LIST_TOO_OLD",
        "UNKNOWN_ISSUER", "ISSUER_KEY_NOT_VALID", "FORGED_CREDENTIAL", "BAD_DEVICE_SIGNATURE", "ALREADY_INSIDE", "OPEN",
    ]  # fmt: skip


@pytest.mark.parametrize("known", [False, True], ids=["first showing", "credential verified before"])
@pytest.mark.parametrize("journey", [None, JourneyState(HOST, 17, NOW_S - 900)], ids=["188", "196"])
def test_any_flipped_bit_keeps_the_gate_shut(known, journey):
    state = GateState(HOST, STATIONS)
    if known:
        state.after(decided(made(counter=1), state=state))
        state.after(decided(made(counter=2), TapKind.EXIT, state=state))
    code = made(journey=journey)
    assert decided(code, state=state).opens
    for bit in range(8 * len(code)):
        flipped = (int.from_bytes(code, "little") ^ 1 << bit).to_bytes(len(code), "little")
        assert not decided(flipped, state=state).opens, f"bit {bit}"


def test_a_verified_credential_is_not_verified_again(monkeypatch):
    state = entered()
    monkeypatch.setattr(rider_code, "verify_credential", lambda *_: pytest.fail("verified again"))
    assert decided(made(), TapKind.EXIT, state=state).opens
    with pytest.raises(pytest.fail.Exception, match="verified again"):
        decided(made(rider=1), state=state)


def test_a_known_credential_under_another_signature_is_forged():
    code = rider_code.issue(DEVICES[0], replace(CREDENTIALS[0], signature=bytes([1]) * 64), NOW_US, 0)
    assert decided(code, TapKind.EXIT, state=entered()).reason is Reason.FORGED_CREDENTIAL


def test_a_withdrawn_key_ends_a_credential_that_was_verified():
    withdrawn = RING.including(replace(ISSUER_PUBLIC, not_after_us=NOW_US))
    assert decided(made(), TapKind.EXIT, state=entered(), ring=withdrawn).reason is Reason.ISSUER_KEY_NOT_VALID


def test_a_credential_is_known_under_the_key_that_verified_it(monkeypatch):
    """Key ids have four bytes: another ring may hold another key of the same id."""
    monkeypatch.setattr(PublicKey, "key_id", property(lambda _: CREDENTIALS[0].key_id))
    other = KeyRing([replace(ISSUER_PUBLIC, public=SigningKey(bytes(32)).public)])
    assert decided(made(), TapKind.EXIT, state=entered(), ring=other).reason is Reason.FORGED_CREDENTIAL


@pytest.mark.parametrize(
    ("version", "age_us", "age"),
    [
        (1, 0, ListAge.CURRENT),
        (1, WARNING_AGE_US - 1, ListAge.CURRENT),
        (1, WARNING_AGE_US, ListAge.OLD),
        (1, DEGRADED_AGE_US - 1, ListAge.OLD),
        (1, DEGRADED_AGE_US, ListAge.DEGRADED),
        (0, DEGRADED_AGE_US, ListAge.CURRENT),
    ],
)
def test_a_deny_list_ages_by_its_limits(version, age_us, age):
    deny = DenyList(version, NOW_US - age_us, frozenset())
    assert deny.age(NOW_US) is age
    flags = TapFlag(0) if age is ListAge.CURRENT else TapFlag.OLD_DENY_LIST
    assert decided(made(), TapKind.EXIT, state=entered(), deny=deny).tap.flags == flags


@pytest.mark.parametrize("kind", [TapKind.ENTRY, TapKind.EXIT])
def test_a_denied_medium_opens_nothing(kind):
    deny = DenyList(1, NOW_US, frozenset([CREDENTIALS[0].medium]))
    assert decided(made(), kind, deny=deny).reason is Reason.DENIED
    assert decided(made(rider=1), deny=deny).opens


def test_under_a_degraded_deny_list_visitors_get_out_and_locals_in():
    degraded = DenyList(1, NOW_US - DEGRADED_AGE_US, frozenset())
    assert decided(made(), deny=degraded).reason is Reason.DENY_LIST_TOO_OLD
    assert decided(made(), TapKind.EXIT, state=entered(), deny=degraded).opens
    assert decide(scan(made(), host=ISSUER), GateState(ISSUER, STATIONS), RING, degraded, NOW_US).opens


def test_a_decision_changes_nothing_and_a_refused_one_never_will():
    state = entered()
    before = memory(state)
    out = scan(made(), TapKind.EXIT)
    assert decide(out, state, RING, NOBODY_DENIED, NOW_US) == decide(out, state, RING, NOBODY_DENIED, NOW_US)
    assert memory(state) == before
    for code, kind in [(b"", TapKind.EXIT), (made(), TapKind.ENTRY), (made(rider=1), TapKind.EXIT)]:
        refused = decided(code, kind, state=state)
        assert not refused.opens
        assert memory(state.after(refused)) == before


def test_a_day_of_forgotten_exits_leaves_a_bounded_memory():
    """Riders who never tap out, most with a medium of the day, one with the same again: what is old goes."""
    state = GateState(HOST, STATIONS, longest_ride_us=600_000_000, credentials_kept=50)
    tap, largest = decided(made()).tap, {}
    for number in range(5_000):
        moment, name = NOW_US + number * 1_000_000, number.to_bytes(16, "big")
        medium = name if number % 300 else b"the same again.."
        passed = replace(tap, tapped_at_us=moment, medium=medium, code_digest=name * 2)
        sizes = state.after(Decision(Reason.OPEN, passed, b"", proof=name)).sizes()
        largest = {kind: max(size, largest.get(kind, 0)) for kind, size in sizes.items()}
    kept_s = (LIFETIME_US + CLOCK_SKEW_US) // 1_000_000
    assert largest == {"inside": 600, "spent": kept_s + 1, "credentials": 50}


def test_after_a_rush_each_tap_forgets_two():
    """So the memory of a rush is given back by half as many taps, and no single rider waits for it."""
    state, tap = GateState(HOST, STATIONS), decided(made()).tap
    for number in range(100):
        state.after(replace(tap, code_digest=number.to_bytes(32, "big")))
    later_us = NOW_US + LIFETIME_US + CLOCK_SKEW_US + 1
    sizes = [
        state.after(replace(tap, tapped_at_us=later_us, code_digest=number.to_bytes(32, "big"))).sizes()["spent"]
        for number in range(100, 160)
    ]
    assert sizes[:50] == list(range(99, 49, -1))
    assert sizes[50:] == list(range(51, 61))


def test_the_credential_that_was_not_shown_for_longest_is_forgotten_first():
    state = GateState(HOST, STATIONS, credentials_kept=2)
    tap = decided(made()).tap
    for proof in (b"a", b"b", b"a", b"c"):
        state.after(Decision(Reason.OPEN, tap, b"", proof))
    assert [state.has_proved(proof) for proof in (b"a", b"b", b"c")] == [True, False, True]


def test_a_gates_reasons_have_the_codes_numbers_and_their_own():
    """Numbers are written into logs and shown by gates: this list only ever grows."""
    assert {reason.name: reason.value for reason in CodeReason}.items() < {reason.name: reason.value for reason in Reason}.items()
    assert [reason.value for reason in Reason] == [*range(14), *range(32, 40)]
    assert max(CodeReason) < 32


class GateAgainstPlainDicts(RuleBasedStateMachine):
    """Three riders at one city's gates: the decision and the state against sets, dicts and the rule in plain words."""

    LONGEST_S = 100
    riders = st.integers(0, len(DEVICES) - 1)
    kinds = st.sampled_from([TapKind.ENTRY, TapKind.EXIT])

    @initialize()
    def open_the_station(self):
        self.state = GateState(HOST, STATIONS, longest_ride_us=self.LONGEST_S * 1_000_000, credentials_kept=2)
        self.now_s, self.counter = NOW_S, 0
        self.shown = []  # (code, rider, made_at_s, journey)
        self.inside, self.spent, self.passed = {}, set(), []

    @rule(seconds=st.integers(0, 12) | st.integers(28, 32) | st.integers(90, 110))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(
        rider=riders,
        kind=kinds,
        age_s=st.integers(-7, 32),
        ride_s=st.none() | st.integers(-7, 110),
        host=st.sampled_from([HOST, 3]),
    )
    def show_a_new_code(self, rider, kind, age_s, ride_s, host):
        self.counter += 1
        made_at_s = self.now_s - age_s
        journey = None if ride_s is None else JourneyState(host, 17, self.now_s - ride_s)
        code = made(made_at_s * 1_000_000, rider=rider, counter=self.counter, journey=journey)
        self.shown.append((code, rider, made_at_s, journey))
        self.show(self.shown[-1], kind)

    @rule(data=st.data(), kind=kinds)
    def show_a_code_again(self, data, kind):
        if self.shown:
            self.show(data.draw(st.sampled_from(self.shown[-6:])), kind)

    @rule(rider=riders, kind=kinds, bit=st.integers(0, 8 * 188 - 1))
    def show_a_broken_code(self, rider, kind, bit):
        code = bytearray(made(self.now_s * 1_000_000, rider=rider))
        code[bit // 8] ^= 1 << bit % 8
        refused = decide(scan(bytes(code), kind), self.state, RING, NOBODY_DENIED, self.now_s * 1_000_000)
        assert not refused.opens
        self.state.after(refused)

    @rule()
    def restart(self):
        """What a restart has is the taps of the gates that opened."""
        self.state = GateState(HOST, STATIONS, longest_ride_us=self.LONGEST_S * 1_000_000, credentials_kept=2)
        for tap in self.passed:
            self.state = self.state.after(tap)

    def show(self, shown, kind):
        code, rider, _, _ = shown
        expected = self.expected(shown, kind)
        decision = decide(scan(code, kind), self.state, RING, NOBODY_DENIED, self.now_s * 1_000_000)
        assert decision.reason is expected
        self.state = self.state.after(decision)
        if decision.opens:
            self.passed.append(decision.tap)
            self.spent.add(code)
            self.inside.pop(rider, None)
            if kind is TapKind.ENTRY:
                self.inside[rider] = self.now_s

    def expected(self, shown, kind):
        code, rider, made_at_s, journey = shown
        if self.now_s - made_at_s >= 30:
            return Reason.STALE
        if made_at_s - self.now_s > 5:
            return Reason.FROM_FUTURE
        if code in self.spent:
            return Reason.REPLAYED
        is_inside = rider in self.inside and self.now_s - self.inside[rider] <= self.LONGEST_S
        if kind is TapKind.ENTRY:
            return Reason.ALREADY_INSIDE if is_inside else Reason.OPEN
        says_so = journey and journey.host == HOST and -5 <= self.now_s - journey.entered_at_s <= self.LONGEST_S
        return Reason.OPEN if is_inside or says_so else Reason.NOT_INSIDE

    @invariant()
    def the_same_riders_are_inside(self):
        for rider, credential in enumerate(CREDENTIALS):
            entered_at_s = self.inside.get(rider)
            if entered_at_s is not None and self.now_s - entered_at_s > self.LONGEST_S:
                entered_at_s = None
            found = self.state.entered_at_us(credential.medium, self.now_s * 1_000_000)
            assert found == (None if entered_at_s is None else entered_at_s * 1_000_000)

    @invariant()
    def memory_is_bounded(self):
        sizes = self.state.sizes()
        assert sizes["inside"] <= len(DEVICES)
        assert sizes["credentials"] <= 2


TestGateAgainstPlainDicts = GateAgainstPlainDicts.TestCase
TestGateAgainstPlainDicts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_steps_are_the_documented_ones():
    assert [step.__name__ for step in gate._STEPS] == ["_place", "_times", "_replay", "_denied", "_credential", "_device", "_order"]
