"""Are rings a polygon: no crossing, some area, holes inside.

Owns the judgement of closed rings in range, with shapely's validity. Must not know GeoJSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import shapely

from geo.arrays import FloatArray
from geo.kernel import kernel
from geo.orient import orient

_PLACE = re.compile(r"\[(\S+) (\S+)\]$")

_REASONS = (
    ("Self-intersection", "the ring crosses itself or another ring", "draw it without crossings"),
    ("Ring Self-intersection", "the ring touches or crosses itself", "draw it without touching itself"),
    ("Hole lies outside shell", "the hole lies outside the outer ring", "move it inside, or make it a polygon"),
    ("Holes are nested", "a hole lies within another hole", "remove one"),
    ("Interior is disconnected", "holes cut the polygon in pieces", "make each piece a polygon"),
    ("Duplicate Rings", "two rings are the same", "remove one"),
)


@dataclass(frozen=True, slots=True)
class RingFault:
    """What is wrong with a polygon, at which ring and vertex (from 0; None: the ring as a whole)."""

    ring: int
    vertex: int | None
    what: str
    got: str | None
    mend: str


def polygon_fault(rings: tuple[FloatArray, ...]) -> RingFault | None:
    """The first fault of a polygon of closed rings (outer, then holes), or None.

    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    >>> polygon_fault((square,)) is None
    True
    >>> polygon_fault((square[[0, 2, 1, 3, 4]],)).what
    'the ring crosses itself or another ring'
    """
    for n, ring in enumerate(rings):
        if _on_one_line(ring):
            return RingFault(n, None, "the ring has no area", None, "give it at least 3 corners that are not in line")
    polygon = shapely.Polygon(rings[0], rings[1:])
    reason = str(shapely.is_valid_reason(polygon))
    if reason == "Valid Geometry":
        return None
    place = _PLACE.search(reason)
    what, mend = reason.split("[")[0].lower(), "draw it anew"
    for start, words, how in _REASONS:
        if reason.startswith(start):
            what, mend = words, how
    if place is None:
        return RingFault(0, None, what, None, mend)
    x, y = float(place[1]), float(place[2])
    ring_number, vertex = _nearest_edge(rings, x, y)
    return RingFault(ring_number, vertex, what, f"{x:.7f}, {y:.7f}", mend)


def overlap_fault(polygons: list[tuple[FloatArray, ...]]) -> tuple[int, int, str] | None:
    """(first, second, where) of two polygons of one fence that share more than border, or None."""
    shapes = np.array([shapely.Polygon(p[0], p[1:]) for p in polygons])
    if shapely.is_valid(shapely.multipolygons(shapes)):
        return None
    pairs = shapely.STRtree(shapes).query(shapes, predicate="intersects").T
    for first, second in pairs[pairs[:, 0] < pairs[:, 1]].tolist():
        if shapely.relate_pattern(shapes[first], shapes[second], "T********"):
            point = shapely.point_on_surface(shapely.intersection(shapes[first], shapes[second]))
            return first, second, f"{point.x:.7f}, {point.y:.7f}"
    return None


@kernel
def is_plain_ring(ring: FloatArray) -> bool:
    """True for a ring of at least 4 positions that is closed, and keeps away from the antimeridian.

    >>> is_plain_ring(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))
    True
    >>> is_plain_ring(np.array([[179.0, 0.0], [180.0, 0.0], [180.0, 1.0], [179.0, 0.0]]))
    False
    """
    last = ring.shape[0] - 1
    if last < 3 or ring[0, 0] != ring[last, 0] or ring[0, 1] != ring[last, 1]:
        return False
    west, east = ring[0, 0], ring[0, 0]
    for k in range(last):
        west, east = min(west, ring[k, 0]), max(east, ring[k, 0])
    return bool(west > -180.0 and east < 180.0 and east - west <= 180.0)


@kernel
def _on_one_line(ring: FloatArray) -> bool:
    """True if all corners lie on one straight line, exactly."""
    x0, y0 = ring[0]
    first = 1
    while first < ring.shape[0] and ring[first, 0] == x0 and ring[first, 1] == y0:
        first += 1
    for k in range(first + 1, ring.shape[0]):
        if orient(x0, y0, ring[first, 0], ring[first, 1], ring[k, 0], ring[k, 1]) != 0.0:
            return False
    return True


def _nearest_edge(rings: tuple[FloatArray, ...], x: float, y: float) -> tuple[int, int]:
    """(ring, first vertex) of the edge that comes nearest to a point."""
    best, ring_number, vertex = np.inf, 0, 0
    for n, ring in enumerate(rings):
        a, d = ring[:-1], np.diff(ring, axis=0)
        size = np.maximum((d * d).sum(axis=1), 1e-300)
        t = np.clip(((np.array([x, y]) - a) * d).sum(axis=1) / size, 0.0, 1.0)
        off = a + t[:, None] * d - np.array([x, y])
        m = (off * off).sum(axis=1)
        k = int(np.argmin(m))
        if m[k] < best:
            best, ring_number, vertex = float(m[k]), n, k
    return ring_number, vertex
