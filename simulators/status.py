"""One look at all that runs: what the house, the cities' gates and their mirrors say of themselves."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
import orjson

Told = dict[str, Any]
"""What one of them said: the JSON object of its /v1/status."""


@dataclass(frozen=True, slots=True)
class Look:
    """What they said; whoever did not answer is missing (`house` is then empty)."""

    house: Told = field(default_factory=dict)
    gates: Mapping[str, Told] = field(default_factory=dict)
    mirrors: Mapping[str, Told] = field(default_factory=dict)

    def agreeing(self) -> int:
        """How many mirrors have cosigned the house's whole ledger and came to one and the same state root."""
        size = self.house.get("size", 0)
        roots = Counter(
            told["state_root"] for told in self.mirrors.values() if told["stopped"] is None and told["cosigned_size"] == size
        )
        return max(roots.values(), default=0)

    def going(self) -> int:
        """How many mirrors answer and cosign."""
        return sum(told["stopped"] is None for told in self.mirrors.values())

    def opened(self) -> int:
        """How many scans the gates' processes have opened for, each since its own start."""
        return sum(told["accepted"] for told in self.gates.values())

    def waiting(self, slug: str) -> int:
        """How many taps a city keeps that the house has not acknowledged."""
        told = self.gates.get(slug, {})
        return int(told.get("open_taps", 0) + told.get("spooled_taps", 0))

    def is_all_sent(self, slugs: Iterable[str]) -> bool:
        """Tell whether every city answers and keeps nothing that the house has not acknowledged."""
        return all(slug in self.gates and not self.waiting(slug) for slug in slugs)


class Statuses:
    """Asks the house and the gates how they are, over connections that stay open."""

    def __init__(self, house: str, gates: Mapping[str, str], mirrors: Mapping[str, str]) -> None:
        """Ask at these addresses; `gates` and `mirrors` by city slug."""
        self.house = house
        self.gates = dict(gates)
        self.mirrors = dict(mirrors)
        self._client = httpx2.AsyncClient(timeout=2.0, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._client.aclose()

    async def look(self) -> Look:
        """Ask all of them at once."""
        house, gates, mirrors = await asyncio.gather(self._ask(self.house), self._ask_all(self.gates), self._ask_all(self.mirrors))
        return Look(house or {}, gates, mirrors)

    async def _ask_all(self, urls: Mapping[str, str]) -> dict[str, Told]:
        told = await asyncio.gather(*(self._ask(url) for url in urls.values()))
        return {slug: status for slug, status in zip(urls, told, strict=True) if status is not None}

    async def _ask(self, url: str) -> Told | None:
        try:
            answer = await self._client.get(f"{url}/v1/status")
        except httpx2.TransportError:
            return None
        return orjson.loads(answer.content) if answer.status_code == 200 else None
