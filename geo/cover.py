"""Is a point in a fence, and how far from its border: decided from all of the fence, exactly.

Owns the meaning of "inside": `covers`, the border belongs to the fence. Must not know the index, which is a faster way
to the same answers. Longitudes 180 and -180 are one meridian.
"""

from __future__ import annotations

import math

from geo.arrays import FloatArray
from geo.columns import AREA, CIRCLE, Columns
from geo.geodesic import ecef, inverse
from geo.kernel import kernel
from geo.orient import orient
from geo.segment import least_m, segment_m
from geo.trig import sincos_deg


@kernel
def in_rings(edges: FloatArray, first: int, last: int, x: float, y: float) -> bool:
    """True if (x, y) lies within, by the even-odd rule, or on the closed rings made of `edges[first:last]`."""
    odd = False
    for e in range(first, last):
        y0, y1 = edges[e, 1], edges[e, 3]
        if (y0 > y) != (y1 > y):
            side = orient(edges[e, 0], y0, edges[e, 2], y1, x, y)
            if side == 0.0:
                return True
            if (side > 0.0) == (y1 > y0):
                odd = not odd
        elif (y0 == y or y1 == y) and _at_end(edges, e, x, y):
            return True
    return odd


@kernel
def _at_end(edges: FloatArray, e: int, x: float, y: float) -> bool:
    """True if (x, y), level with an end of an edge that does not pass it, lies on the edge."""
    x0, y0, x1, y1 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
    if y0 == y1:
        return bool(min(x0, x1) <= x <= max(x0, x1))
    return bool((x0 == x and y0 == y) or (x1 == x and y1 == y))


@kernel
def in_area(columns: Columns, f: int, lat: float, lng: float) -> bool:
    """`covers` for an area."""
    first, last = columns.span[f, 0], columns.span[f, 2]
    if in_rings(columns.edges, first, last, lng, lat):
        return True
    return abs(lng) == 180.0 and bool(in_rings(columns.edges, first, last, -lng, lat))


@kernel
def in_disc(columns: Columns, f: int, lat: float, lng: float, px: float, py: float, pz: float) -> bool:
    """`covers` for a circle: by the chord, and by the geodesic itself where the chord leaves it open."""
    disc = columns.disc[f]
    d2 = (px - disc[2]) ** 2 + (py - disc[3]) ** 2 + (pz - disc[4]) ** 2
    if d2 <= disc[5]:
        return True
    if d2 > disc[6]:
        return False
    return bool(inverse(disc[0], disc[1], lat, lng) <= columns.size_m[f])


@kernel
def line_m(edges: FloatArray, first: int, last: int, lat: float, lng: float, px: float, py: float, pz: float) -> float:
    """Metres from a point to the nearest of `edges[first:last]`; inf if there is none.

    The edge that promises most is measured first, then only those that could be nearer.
    """
    _, cos_lat = sincos_deg(lat)
    promise, start = math.inf, first
    for e in range(first, last):
        m = least_m(lat, lng, cos_lat, edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3])
        if m < promise:
            promise, start = m, e
    if first == last:
        return math.inf
    x0, y0, x1, y1 = edges[start]
    best = segment_m(lat, lng, px, py, pz, x0, y0, x1, y1)
    for e in range(first, last):
        x0, y0, x1, y1 = edges[e]
        if e != start and least_m(lat, lng, cos_lat, x0, y0, x1, y1) < best:
            best = min(best, segment_m(lat, lng, px, py, pz, x0, y0, x1, y1))
    return best


@kernel
def in_corridor(columns: Columns, f: int, lat: float, lng: float, px: float, py: float, pz: float) -> bool:
    """`covers` for a corridor."""
    _, cos_lat = sincos_deg(lat)
    buffer_m = columns.size_m[f]
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        if (
            least_m(lat, lng, cos_lat, x0, y0, x1, y1) <= buffer_m
            and segment_m(lat, lng, px, py, pz, x0, y0, x1, y1) <= buffer_m
        ):
            return True
    return False


@kernel
def covers(columns: Columns, f: int, lat: float, lng: float) -> bool:
    """True if the point (degrees) is in fence `f` or on its border."""
    if columns.kind[f] == AREA:
        return bool(in_area(columns, f, lat, lng))
    px, py, pz = ecef(lat, lng)
    if columns.kind[f] == CIRCLE:
        return bool(in_disc(columns, f, lat, lng, px, py, pz))
    return bool(in_corridor(columns, f, lat, lng, px, py, pz))


@kernel
def signed_m(columns: Columns, f: int, lat: float, lng: float) -> float:
    """Metres from the point to the border of fence `f`: negative inside, 0 on it, positive outside."""
    if columns.kind[f] == CIRCLE:
        return float(inverse(columns.disc[f, 0], columns.disc[f, 1], lat, lng) - columns.size_m[f])
    px, py, pz = ecef(lat, lng)
    if columns.kind[f] == AREA:
        first, last = columns.span[f, 1], columns.span[f, 3]
        m = line_m(columns.edges, first, last, lat, lng, px, py, pz)
        return -m if in_area(columns, f, lat, lng) else max(m, 1e-9)
    first, last = columns.span[f, 0], columns.span[f, 2]
    return float(line_m(columns.edges, first, last, lat, lng, px, py, pz) - columns.size_m[f])
