"""Who earned a fare: a dated rule that turns the path of each station pair into whole-number weights of the operators."""

from dataclasses import dataclass
from enum import StrEnum

from city_adapters.fields import Fields
from city_adapters.provenance import Provenance
from city_adapters.validity import Validity


class SplitModel(StrEnum):
    """The models a city can agree on. More will follow; a model's name says what its weights are."""

    SHORTEST_PATH_METRES = "metres on the shortest path"


class SharedTrack(StrEnum):
    """Who earns a stretch that several lines run over, or run beside each other with the same metres."""

    EQUAL_PARTS = "equal parts"


@dataclass(frozen=True, slots=True)
class SplitRule:
    """One dated version of a city's split."""

    file: str
    name: str
    validity: Validity
    model: SplitModel
    shared_track: SharedTrack
    provenance: Provenance


def read_split_rule(fields: Fields, validity: Validity) -> SplitRule:
    """Read a split rule's file whose dates were read before; what is wrong becomes findings of `fields`."""
    rule = SplitRule(
        fields.file,
        fields.text("name"),
        validity,
        fields.choice("model", SplitModel),
        fields.choice("shared_track", SharedTrack),
        fields.provenance(),
    )
    fields.done()
    return rule
