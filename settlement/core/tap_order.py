"""The one total order of taps, so that arrival never matters.

By host, medium, tapped_at_us, kind; and so that only equal taps tie: gate, gate_seq, issuer, station, entitlement, flags, category,
mode, code_digest. Taps of one medium in one host (a lane) stand together in it, in the order in which they were made.
"""

import numpy as np

from settlement.core.columns import Int64, Keys, Mask, Rows, Taps, column, pick, words

_TIME, _MEDIUM, _DIGEST, _GATE, _PLACE, _KIND = 0, 1, 3, 7, 8, 9
"""Words of a tap: time, medium (2), code digest (4), gate_seq and gate, station and host and issuer, kind and the rest."""


def lane_keys(taps: Taps) -> Keys:
    """One number for host and medium: host (16 bits), then the medium's first 48 bits; ascending in the order of taps.

    Two media may share a number (a rider can search for such a pair), so equal keys must never be read as equal media.
    """
    columns = words(taps)
    host = (columns[:, _PLACE] >> np.uint64(32)) & np.uint64(0xFFFF)
    return (host << np.uint64(48)) | (columns[:, _MEDIUM].byteswap() >> np.uint64(16))


def order(taps: Taps, keys: Keys) -> Rows:
    """The rows of `taps` in total order; `keys` are their lane keys."""
    rank = np.argsort(keys)
    tied = _touching(keys[rank[1:]] == keys[rank[:-1]])
    if tied.any():
        rank[tied] = _order_tied(taps, keys, rank[tied])
    return rank


def is_ordered(taps: Taps) -> bool:
    """Tell whether these taps stand in total order, none twice."""
    ordered = pick(taps, order(taps, lane_keys(taps)))
    return ordered.tobytes() == taps.tobytes() and not repeats(ordered).any()


def starts_of_lanes(ordered: Taps) -> Mask:
    """Mark the first tap of each medium in each host, for taps in total order."""
    columns = words(ordered)
    host = ordered["host"]
    starts = np.ones(len(ordered), np.bool_)
    starts[1:] = (
        (columns[1:, _MEDIUM] != columns[:-1, _MEDIUM])
        | (columns[1:, _MEDIUM + 1] != columns[:-1, _MEDIUM + 1])
        | (host[1:] != host[:-1])
    )
    return starts


def repeats(ordered: Taps) -> Mask:
    """Mark every tap that equals the one before it in all 80 bytes, for taps in total order."""
    columns = words(ordered)
    marks = np.zeros(len(ordered), np.bool_)
    # Two equal taps share time and gate sequence: eight of the ten words are read for those few alone.
    like = 1 + np.flatnonzero((columns[1:, _TIME] == columns[:-1, _TIME]) & (columns[1:, _GATE] == columns[:-1, _GATE]))
    marks[like] = (columns[like] == columns[like - 1]).all(axis=1)
    return marks


def _order_tied(taps: Taps, keys: Keys, rows: Rows) -> Rows:
    """Order rows whose lane keys tie: by time, and by all bytes only where that does not decide."""
    columns = words(taps)
    keys, times = keys[rows], column(taps, "tapped_at_us")[rows]
    rank = _by_lane_and_time(keys, times)
    rows, times = rows[rank], times[rank]
    high, low = (np.ascontiguousarray(columns[:, word])[rows] for word in (_MEDIUM, _MEDIUM + 1))
    undecided = (keys[1:] == keys[:-1]) & ((times[1:] == times[:-1]) | (high[1:] != high[:-1]) | (low[1:] != low[:-1]))
    return rows[_by_every_byte(pick(taps, rows), keys)] if undecided.any() else rows


def _by_every_byte(taps: Taps, keys: Keys) -> Rows:
    """The total order, its last key first, as `lexsort` takes them."""
    columns = words(taps)
    digest = [columns[:, _DIGEST + word].byteswap() for word in range(3, -1, -1)]
    rest = [columns[:, _KIND], columns[:, _PLACE], columns[:, _GATE], column(taps, "kind"), column(taps, "tapped_at_us")]
    medium = [columns[:, _MEDIUM + 1].byteswap(), columns[:, _MEDIUM].byteswap()]
    return np.lexsort((*digest, *rest, *medium, keys))


def _by_lane_and_time(keys: Keys, times: Int64) -> Rows:
    """Order by lane key (ascending already) and time: as one number where both fit into 63 bits, which sorts many times faster."""
    lane = np.cumsum(np.diff(keys, prepend=keys[:1]) != 0)
    first = int(times.min())
    bits = (int(times.max()) - first).bit_length()
    if bits + int(lane[-1]).bit_length() > 63:
        return np.lexsort((times, keys))
    return np.argsort((lane << bits) | (times - first))


def _touching(equal: Mask) -> Mask:
    """From 'row i equals row i + 1' to 'row i has an equal neighbour'; shape one longer."""
    touching = np.zeros(len(equal) + 1, np.bool_)
    touching[1:] |= equal
    touching[:-1] |= equal
    return touching
