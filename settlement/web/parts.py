"""The house's running parts as a request finds them: they change when the house restarts its insides."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request

from fare_chain.errors import Overloaded
from fare_chain.keys import SigningKey
from settlement.clear_windows import ClearWindows
from settlement.finality import Finality
from settlement.intake import Intake
from settlement.pinned_cities import PinnedCities
from settlement.sequencer import Sequencer
from settlement.web.permits import Role

MOST_REPORTS = 2
"""How many reports are made at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a route may use; `members` are the names of the members by number, `cities` their folders, if at hand.

    `roles` are the readers' (auditors, regulators) by number. Who explains holds `explaining`: one at a time, so that clearing
    has the machine; who renders a report one of `reporting`. `reports_key` signs manifests, where the house has one: the log's
    key signs checkpoints alone.
    """

    engine: AsyncEngine
    intake: Intake
    sequencer: Sequencer
    clearing: ClearWindows
    vkey: str
    members: dict[int, str]
    cities: PinnedCities | None = None
    finality: Finality | None = None
    roles: Mapping[int, Role] = field(default_factory=dict)
    explaining: asyncio.Lock = field(default_factory=asyncio.Lock)
    reporting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_REPORTS))
    reports_key: SigningKey | None = None


@dataclass(slots=True)
class Running:
    """The parts, or None while they start."""

    parts: Parts | None = None


def parts_of(request: Request) -> Parts:
    """The parts behind a request; Overloaded while there are none: whoever asks comes back in a moment."""
    parts: Parts | None = request.app.state.running.parts
    if parts is None:
        raise Overloaded("the clearing house is starting: try again in a moment, nothing was stored")
    return parts
