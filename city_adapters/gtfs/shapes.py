"""How far along the drawn line of a trip its stops lie: the metres of the track, where a feed draws it."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from city_adapters.gtfs.feed import Feed
from city_adapters.gtfs.stops import metres_between

Floats = NDArray[np.float64]
FARTHEST_M = 1000
"""A stop further from the drawn line than this does not lie on it."""
METRES_PER_DEGREE = 111_195
SAME_SPOT_M = 0.1
"""Rounding: two stops so close stand at one spot of the line."""


def read_shapes(feed: Feed, wanted: Iterable[str]) -> dict[str, Floats]:
    """Read the points (longitude, latitude) of the shapes that are wanted, in their order."""
    points: dict[str, list[tuple[int, float, float]]] = {shape: [] for shape in wanted if shape}
    if not points:
        return {}
    for row in feed.rows("shapes.txt", "shape_id", "shape_pt_lat", "shape_pt_lon", "shape_pt_sequence"):
        if row["shape_id"] not in points:
            continue
        place, lon, lat = row.whole("shape_pt_sequence", blank=-1), row.decimal("shape_pt_lon"), row.decimal("shape_pt_lat")
        if place is None or lon is None or lat is None:
            feed.left(row, "the point has no order or no position and is passed over", "correct it in the feed")
        else:
            points[row["shape_id"]].append((place, lon, lat))
    return {
        shape: np.array([point[1:] for point in sorted(at, key=lambda point: point[0])])
        for shape, at in points.items()
        if len(at) > 1
    }


def along(shape: Floats, stops: list[tuple[float, float]]) -> list[float] | None:
    """Find how many metres along a shape each stop lies, never turning back; None where a stop lies far from it.

    Of all ways to put the stops on the shape in their order it takes the one with the least sum of squared distances, so that a
    loop, which passes a stop twice, is not cut short.
    """
    lengths = np.array([metres_between(*one, *other) for one, other in pairwise(shape)])
    begins = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    offsets, squares = _projected(shape, lengths, begins, np.array(stops))
    count = len(stops)
    segments = np.arange(len(lengths))
    best = squares[0]
    came_from = np.zeros((count, len(lengths)), dtype=np.int64)
    for at in range(1, count):
        lowest = np.minimum.accumulate(best)
        where = np.maximum.accumulate(np.where(best <= lowest, segments, 0))
        stays = offsets[at - 1] <= offsets[at] + SAME_SPOT_M  # on its own segment a stop lies after the one before
        before = np.concatenate([[np.inf], lowest[:-1]])
        cost = np.where(stays & (best < before), best, before)
        came_from[at] = np.where(stays & (best < before), segments, np.concatenate([[0], where[:-1]]))
        best = cost + squares[at]
    if not np.isfinite(best).any():
        return None
    here = int(np.argmin(best))
    path = [here]
    for at in range(count - 1, 0, -1):
        here = int(came_from[at, here])
        path.append(here)
    path.reverse()
    if any(squares[at, segment] > FARTHEST_M**2 for at, segment in enumerate(path)):
        return None
    return [float(offsets[at, segment]) for at, segment in enumerate(path)]


def _projected(shape: Floats, lengths: Floats, begins: Floats, stops: Floats) -> tuple[Floats, Floats]:
    """Of each stop (rows) on each segment (columns): metres from the shape's beginning, and squared distance to it."""
    narrowing = np.cos(np.radians(shape[:, 1].mean()))
    scale = np.array([narrowing, 1.0]) * METRES_PER_DEGREE
    points, at = shape * scale, stops * scale
    steps = points[1:] - points[:-1]
    to_stop = at[:, None, :] - points[None, :-1, :]
    squared = np.maximum((steps**2).sum(axis=1), 1e-9)
    part = np.clip((to_stop * steps).sum(axis=2) / squared, 0.0, 1.0)
    gaps = to_stop - part[:, :, None] * steps
    return begins + part * lengths, (gaps**2).sum(axis=2)


def differences(measures: Mapping[int, float]) -> dict[int, float]:
    """The metres of each step between two neighbours that are both measured, by the first one's place; only steps forward."""
    steps = {place: measures[place + 1] - measures[place] for place in measures if place + 1 in measures}
    return {place: step for place, step in steps.items() if step > 0}
