"""The media that no gate may accept, and how old the word on them is."""

from dataclasses import dataclass
from enum import IntEnum

WARNING_AGE_US = 15 * 60 * 1_000_000
DEGRADED_AGE_US = 24 * 3600 * 1_000_000


class ListAge(IntEnum):
    """How far a deny list can be relied on."""

    CURRENT = 0
    OLD = 1
    """Older than 15 minutes: taps say so."""
    DEGRADED = 2
    """Older than 24 hours: visitors begin no journey."""


@dataclass(frozen=True, slots=True)
class DenyList:
    """One version of the list, as values; a later version replaces it whole.

    Version 0 is the list before the first one: it denies nobody and has no age.
    """

    version: int
    issued_at_us: int
    media: frozenset[bytes]

    def denies(self, medium: bytes) -> bool:
        """Tell whether this medium opens no gate."""
        return medium in self.media

    def age(self, now_us: int) -> ListAge:
        """Say how far to rely on the list now."""
        if self.version == 0:
            return ListAge.CURRENT
        age_us = now_us - self.issued_at_us
        if age_us >= DEGRADED_AGE_US:
            return ListAge.DEGRADED
        return ListAge.OLD if age_us >= WARNING_AGE_US else ListAge.CURRENT


NOBODY_DENIED = DenyList(version=0, issued_at_us=0, media=frozenset())
"""The list to start with, until the scheme issues its first."""
