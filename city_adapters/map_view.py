"""From degrees to a picture: a view of part of a network, the same to the last digit on every machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from city_adapters.network import Station

Point = tuple[float, float]
"""Right and down, in the picture's own units."""

LEAST_SPAN = 0.13
"""Degrees of latitude that a view shows at least, some 14 km: a ride of one stop is no close-up of two dots."""
_DEGREE = 0.017453292519943295


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of the picture."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class View:
    """What of the earth a frame shows: `scale` units for a degree of latitude, `squeeze` how much shorter one of longitude is."""

    frame: Frame
    west: float
    north: float
    scale: float
    squeeze: float

    def place(self, station: Station) -> Point:
        """Put a station into the picture, to a tenth of a unit."""
        x = self.frame.left + (station.lon_e3 / 1000 - self.west) * self.squeeze * self.scale
        y = self.frame.top + (self.north - station.lat_e3 / 1000) * self.scale
        return round(x, 1), round(y, 1)


def view_of(stations: Iterable[Station], frame: Frame, *, margin: float) -> View:
    """Show all these stations, with so many units of margin on each side, as large as they fit."""
    placed = [(station.lon_e3 / 1000, station.lat_e3 / 1000) for station in stations]
    west, east = min(lon for lon, _ in placed), max(lon for lon, _ in placed)
    south, north = min(lat for _, lat in placed), max(lat for _, lat in placed)
    squeeze = _cosine((south + north) / 2 * _DEGREE)
    wide, high = frame.width - 2 * margin, frame.height - 2 * margin
    span = max((east - west) * squeeze / wide, (north - south) / high, LEAST_SPAN / max(wide, high))
    scale = 1 / span
    middle_lon, middle_lat = (west + east) / 2, (south + north) / 2
    return View(frame, middle_lon - frame.width / scale / squeeze / 2, middle_lat + frame.height / scale / 2, scale, squeeze)


def _cosine(angle: float) -> float:
    """The cosine by its series: sums and products alone are the same on every machine, a library's last digit is not."""
    square = angle * angle
    return 1 - square / 2 * (1 - square / 12 * (1 - square / 30 * (1 - square / 56)))
