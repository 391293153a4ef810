"""The phones that riders carry: a device key, what the issuer attests of it, the journey it is on, the code it showed last."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from city_adapters.pseudonyms import keeps_its_key
from city_adapters.service_day import ServiceDays
from fare_chain import rider_code
from fare_chain.errors import Unknown
from fare_chain.identifiers import MemberNumber
from fare_chain.keys import SIGNATURE_BYTES, SigningKey
from fare_chain.rider_code import Credential, JourneyState
from fare_chain.tap import GOING_IN, Category
from simulators.clock import SECOND_US, actor_seed
from simulators.riders import STALE_AGE_US, PlannedScan, RiderColumns, Showing


class Phones:
    """What the riders carry: device key, credential, the journey they are on, the code they showed last.

    Device keys are real Ed25519 keys derived from the world's seed, so that a run repeats; a phone is made when its rider first
    shows a code. The only thing of this room that changes while a run goes on.
    """

    def __init__(
        self,
        riders: RiderColumns,
        issuer_keys: Mapping[int, SigningKey],
        *,
        seed: int,
        not_before_s: int,
        not_after_s: int,
        days: Mapping[int, ServiceDays] | None = None,
    ) -> None:
        """Take the riders, the issuer key of each home city, and the period of all credentials (Unix seconds).

        With the service `days` of the home cities a phone makes a new key at its city's cut, once its journey has its exit.
        """
        missing = sorted(set(np.unique(riders.issuer).tolist()) - set(issuer_keys))
        if missing:
            raise Unknown(f"riders of member {missing[0]} have no issuer key: hand in one for each home city")
        self._riders = riders
        self._issuer_keys = issuer_keys
        self._seed = seed
        self._period_s = (not_before_s, not_after_s)
        self._days = days or {}
        self._forger = SigningKey(actor_seed(seed, "forger"))
        self._phones: dict[int, _Phone] = {}

    def show(self, scan: PlannedScan, now_us: int) -> bytes:
        """Make the code of a planned scan, at scan time: `now_us` is the real time of the rider's clock."""
        phone = self._phone(scan.rider)
        if scan.showing is not Showing.AGAIN:
            self._rotate(phone, scan.rider, now_us)
            phone.counter += 1
            phone.last_code = self._make(phone, scan, now_us)
        return phone.last_code

    def passed(self, scan: PlannedScan, now_us: int) -> None:
        """Note that the gate opened for this scan: after an entry the codes carry the journey's state, until the exit."""
        entered = scan.kind in GOING_IN
        self._phone(scan.rider).journey = (
            JourneyState(MemberNumber(scan.host), scan.station, now_us // SECOND_US) if entered else None
        )

    def is_inside(self, rider: int) -> bool:
        """Tell whether this rider's last open gate led in."""
        return self._phone(rider).journey is not None

    def _make(self, phone: "_Phone", scan: PlannedScan, now_us: int) -> bytes:
        issued_us = now_us - STALE_AGE_US if scan.showing is Showing.STALE else now_us
        credential = self._credential(phone, scan.showing)
        code = rider_code.issue(phone.key, credential, issued_us, phone.counter, phone.journey)
        return code[:-SIGNATURE_BYTES] if scan.showing is Showing.STRIPPED else code

    def _credential(self, phone: "_Phone", showing: Showing) -> Credential:
        """The phone's credential, or what a forger makes of it."""
        true = phone.credential
        if showing is Showing.UNKNOWN_KEY:
            return self._attest(self._forger, true.issuer, true.device_public, true.category, true.entitlement)
        if showing is Showing.FALSE_SIGNATURE:
            return replace(true, signature=self._forger.sign_in("credential", true.attested()))
        return true

    def _phone(self, rider: int) -> "_Phone":
        if rider not in self._phones:
            key = SigningKey(actor_seed(self._seed, "rider", rider))
            self._phones[rider] = _Phone(key, self._credential_of(rider, key))
        return self._phones[rider]

    def _rotate(self, phone: "_Phone", rider: int, now_us: int) -> None:
        """Make a new key where the service day has changed since the last one was made, but not while a journey is open."""
        days = self._days.get(int(self._riders.issuer[rider]))
        if days is None or (phone.made_at_us and keeps_its_key(days, phone.made_at_us, now_us, inside=phone.journey is not None)):
            return
        if phone.made_at_us:
            phone.key = SigningKey(actor_seed(self._seed, f"rider {days.day_of(now_us).isoformat()}", rider))
            phone.credential = self._credential_of(rider, phone.key)
        phone.made_at_us = now_us

    def _credential_of(self, rider: int, key: SigningKey) -> Credential:
        issuer, category = int(self._riders.issuer[rider]), Category(self._riders.category[rider])
        return self._attest(self._issuer_keys[issuer], issuer, key.public, category, int(self._riders.step[rider]))

    def _attest(self, signer: SigningKey, issuer: int, device_public: bytes, category: Category, step: int) -> Credential:
        begins, ends = self._period_s
        return rider_code.issue_credential(
            signer, issuer, device_public, not_before_s=begins, not_after_s=ends, category=category, entitlement=step
        )


@dataclass(slots=True)
class _Phone:
    key: SigningKey
    credential: Credential
    made_at_us: int = 0
    """When the key was made; 0 before the first code."""
    counter: int = 0
    journey: JourneyState | None = None
    last_code: bytes = b""
