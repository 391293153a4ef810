"""Three small cities' mirrors beside a small house: real keys, real files, the house's own notes as its feed."""

from concurrent.futures import ThreadPoolExecutor

from fare_chain import scheme_policy
from fare_chain.keys import KeyUse
from fare_chain.mirror_feed import write_feed
from settlement.mirror.city_mirror import CityKeys, CityMirror
from settlement.mirror.journal import Journal
from settlement.mirror.shelf import Shelf
from settlement.store import finality as store
from simulators.small_house import LOG_VERIFIER, ORIGIN, small_key

SLUGS = {1: "alder", 2: "birch", 3: "cedar"}
POLICY = scheme_policy.scheme_policy(
    ORIGIN,
    [LOG_VERIFIER.public],
    [
        scheme_policy.Cosigner(slug, small_key(number, KeyUse.CLEARING).public, small_key(number, KeyUse.WITNESS).public)
        for number, slug in SLUGS.items()
    ],
    quorum=2,
)
POOL = ThreadPoolExecutor(1)
OPENED = []
"""What the test opened: a death closes its files too."""


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self):
        self.now_s = 1_790_000_000

    def __call__(self):
        return self.now_s


def make_mirror(folder, number=1, clock=None):
    """A city's mirror on a folder, as at a start of its process."""
    clearing, witness = (small_key(number, use) for use in (KeyUse.CLEARING, KeyUse.WITNESS))
    keys = CityKeys.of(SLUGS[number], POLICY, clearing, witness)
    folder.mkdir(exist_ok=True)
    clock = clock or Clock()
    shelf, journal = Shelf(folder), Journal(folder / "cosigned")
    OPENED.extend((shelf, journal))
    return CityMirror(shelf, journal, keys, POLICY, issuers=frozenset({number}), pool=POOL, clock=clock)


async def ticks_of(house, size=0):
    """What the house has committed since that size."""
    async with house.engine.connect() as connection:
        return await store.read_ticks(connection, size, 1000)


async def feed_of(house, size=0):
    """The same as a feed."""
    return write_feed(await ticks_of(house, size))
