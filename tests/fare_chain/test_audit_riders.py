"""A city that says of a rider what the rider's code does not say: named by the audit, one field after the other."""

from dataclasses import replace

import pytest

from fare_chain import rider_code
from fare_chain.errors import Untrusted
from fare_chain.hashing import sha256
from fare_chain.keys import KeyRing, KeyUse, PublicKey, SigningKey
from fare_chain.rider_checks import RiderChecks
from fare_chain.tap import Category, Tap, TapKind

AT_US = 1_790_000_000_000_000
ISSUER_KEY, DEVICE = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32)
AT_S = AT_US // 1_000_000
CREDENTIAL = rider_code.issue_credential(
    ISSUER_KEY,
    2,
    DEVICE.public,
    not_before_s=AT_S - 60,
    not_after_s=AT_S + 60,
    category=Category.STUDENT,
    entitlement=1,
)
CODE = rider_code.issue(DEVICE, CREDENTIAL, AT_US, 1)
HONEST = Tap(AT_US, CREDENTIAL.medium, sha256(CODE), 1, 1, 1, 1, 2, TapKind.ENTRY, category=Category.STUDENT, entitlement=1)


RING = KeyRing([PublicKey(2, KeyUse.ISSUER, ISSUER_KEY.public, 0, 2 * AT_US)])


def test_a_tap_that_says_what_its_code_says_holds():
    RiderChecks().check(HONEST.to_bytes(), CODE, RING)


@pytest.mark.parametrize(
    "lie", [{"entitlement": 3}, {"entitlement": 0}, {"category": Category.SENIOR}, {"issuer": 1}, {"medium": bytes(16)}], ids=str
)
def test_a_tap_that_says_something_else_is_named(lie):
    with pytest.raises(Untrusted, match="medium, issuer, category or entitlement is not its rider code's"):
        RiderChecks().check(replace(HONEST, **lie).to_bytes(), CODE, RING)
