"""A place on the earth: a point that can only be made by saying which number is which.

Owns the order and the unit of coordinates. Must not know fences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from geo.geodesic import inverse


@dataclass(frozen=True, slots=True)
class Point:
    """A point in degrees on WGS84: make it with `Point.from_lat_lng` or `Point.from_geojson`."""

    lat_deg: float
    lng_deg: float

    @classmethod
    def from_lat_lng(cls, *, lat_deg: float, lng_deg: float) -> Point:
        """A point from latitude (-90 to 90) and longitude (-180 to 180) in degrees; ValueError for anything else.

        >>> Point.from_lat_lng(lat_deg=35.69, lng_deg=139.7)
        Point(lat_deg=35.69, lng_deg=139.7)
        """
        if not math.fabs(lat_deg) <= 90.0:
            raise ValueError(f"`lat_deg` must be between -90 and 90, got `{lat_deg}`")
        if not math.fabs(lng_deg) <= 180.0:
            raise ValueError(f"`lng_deg` must be between -180 and 180, got `{lng_deg}`")
        return cls(float(lat_deg), float(lng_deg))

    @classmethod
    def from_geojson(cls, position: Sequence[float]) -> Point:
        """A point from a GeoJSON position: longitude first, then latitude; altitude is ignored.

        >>> Point.from_geojson([139.7, 35.69])
        Point(lat_deg=35.69, lng_deg=139.7)
        """
        if len(position) < 2:
            raise ValueError(f"a position needs longitude and latitude, got `{position}`")
        return cls.from_lat_lng(lat_deg=position[1], lng_deg=position[0])


def distance_m(a: Point, b: Point) -> float:
    """Metres of the shortest way on WGS84 from `a` to `b`.

    >>> home = Point.from_lat_lng(lat_deg=0.0, lng_deg=0.0)
    >>> round(distance_m(home, Point.from_lat_lng(lat_deg=0.0, lng_deg=1.0)), 3)
    111319.491
    """
    return float(inverse(a.lat_deg, a.lng_deg, b.lat_deg, b.lng_deg))
