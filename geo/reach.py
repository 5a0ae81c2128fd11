"""Is a whole circle round a point in a fence, or out of it: the question of a fix with an accuracy.

Owns short ways to the answers that `cover.signed_m` gives, for points of which it is known whether the fence covers
them. Must not know devices. A plane at the point tells which edges come near; what it cannot tell for sure is measured.
"""

from __future__ import annotations

import math

from geo.arrays import FloatArray
from geo.columns import AREA, BLOCK, CIRCLE, Columns
from geo.cover import row_of
from geo.geodesic import A_M, E2, ecef, inverse
from geo.kernel import inlined, kernel
from geo.segment import ground_m, least_m, nearest_point
from geo.trig import RADIANS, sincos_deg

#: An edge with an end further off than this, in degrees, is measured; so is all near the poles and far circles.
NEAR_DEG = 1.0
LAT_DEG_MAX = 80.0
RADIUS_M_MAX = 10_000.0
#: Within these bounds the plane is wrong by less than this share, and this much.
SHARE, LEAST_M = 0.02, 0.01


@inlined
def circle_in(columns: Columns, f: int, lat: float, lng: float, radius_m: float) -> bool:
    """True if `signed_m <= -radius_m`, for a point that fence `f` covers."""
    if columns.kind[f] == CIRCLE:
        return _is_within(columns, f, lat, lng, -radius_m)
    if columns.kind[f] == AREA:
        return not _border_comes_near(columns, f, lat, lng, radius_m, False)
    depth_m = columns.size_m[f] - radius_m
    return bool(_line_comes_near(columns, f, lat, lng, depth_m))


@inlined
def circle_out(columns: Columns, f: int, lat: float, lng: float, radius_m: float) -> bool:
    """True if `signed_m > radius_m`, for a point that fence `f` does not cover."""
    if columns.kind[f] == CIRCLE:
        return not _is_within(columns, f, lat, lng, radius_m)
    if columns.kind[f] == AREA:
        if radius_m < 1e-9:
            return True
        return not _border_comes_near(columns, f, lat, lng, radius_m, True)
    reach_m = columns.size_m[f] + radius_m
    return not _line_comes_near(columns, f, lat, lng, reach_m)


@inlined
def _is_within(columns: Columns, f: int, lat: float, lng: float, m: float) -> bool:
    """True if a point is at most `m` metres outside of a circular fence; below zero, at least so deep inside."""
    to_lat, to_lng, size_m = columns.disc[f, 0], columns.disc[f, 1], columns.size_m[f]
    close = abs(to_lat - lat) <= NEAR_DEG and abs(to_lng - lng) <= NEAR_DEG
    if close and abs(lat) <= LAT_DEG_MAX and abs(size_m + m) <= RADIUS_M_MAX:
        north_m, east_m, _ = _degree_m(lat)
        away_m = math.hypot((to_lng - lng) * east_m, (to_lat - lat) * north_m)
        if away_m * (1.0 - SHARE) - LEAST_M > size_m + m:
            return False
        if away_m * (1.0 + SHARE) + LEAST_M < size_m + m:
            return True
    return bool(inverse(to_lat, to_lng, lat, lng) - size_m <= m)


@kernel
def _degree_m(lat: float) -> tuple[float, float, float]:
    """Metres of a degree of latitude, and of longitude; and the cosine of the latitude."""
    sin_lat, cos_lat = sincos_deg(lat)
    w = 1.0 - E2 * sin_lat * sin_lat
    n = A_M / math.sqrt(w)
    return n * (1.0 - E2) / w * RADIANS, n * cos_lat * RADIANS, cos_lat


@inlined
def _border_comes_near(columns: Columns, f: int, lat: float, lng: float, m: float, or_at: bool) -> bool:
    """`_comes_near` for the border of an area."""
    span, block = columns.span, columns.first_block[f]
    return bool(
        _comes_near(columns.edges, columns.boxes, block, span[f, 0], span[f, 1], span[f, 3], lat, lng, m, or_at)
    )


@inlined
def _line_comes_near(columns: Columns, f: int, lat: float, lng: float, m: float) -> bool:
    """`_comes_near` for the line of a corridor, or just as far."""
    first, last, block = columns.span[f, 0], columns.span[f, 2], columns.first_block[f]
    return bool(_comes_near(columns.edges, columns.boxes, block, first, first, last, lat, lng, m, True))


@kernel
def _comes_near(
    edges: FloatArray, boxes: FloatArray, block: int, row: int, first: int, last: int,
    lat: float, lng: float, m: float, or_at: bool,
) -> bool:  # fmt: skip
    """True if one of the edges `first:last` is less than `m` metres away, or just as far and `or_at`.

    `block` is the first box of their fence, `row` its first edge.
    """
    north_m, east_m, cos_lat = _degree_m(lat)
    plane = abs(lat) <= LAT_DEG_MAX and m <= RADIUS_M_MAX
    surely_m, perhaps_m = m * (1.0 - SHARE) - LEAST_M, m * (1.0 + SHARE) + LEAST_M
    # what is further off one way is so in the plane
    west, south = lng - perhaps_m / east_m, lat - perhaps_m / north_m
    east, north = lng + perhaps_m / east_m, lat + perhaps_m / north_m
    for start in range(row, last, BLOCK):
        x0, y0, x1, y1 = row_of(boxes, block)
        block += 1
        near = plane and _is_near(lat, lng, x0, y0) and _is_near(lat, lng, x1, y1)
        if near:
            if x0 > east or x1 < west or y0 > north or y1 < south:
                continue
        elif least_m(lat, lng, cos_lat, x0, y0, x1, y1) > m:
            continue
        for e in range(max(first, start), min(last, start + BLOCK)):
            x0, y0, x1, y1 = row_of(edges, e)
            if near or (plane and _is_near(lat, lng, x0, y0) and _is_near(lat, lng, x1, y1)):
                if (x0 > east and x1 > east) or (x0 < west and x1 < west):
                    continue
                if (y0 > north and y1 > north) or (y0 < south and y1 < south):
                    continue
                away_m = _plane_m((x0 - lng) * east_m, (y0 - lat) * north_m, (x1 - lng) * east_m, (y1 - lat) * north_m)
                if away_m > perhaps_m:
                    continue
                if away_m < surely_m:
                    return True
            away_m = _edge_m(lat, lng, x0, y0, x1, y1)
            if away_m < m or (or_at and away_m == m):
                return True
    return False


@kernel
def _is_near(lat: float, lng: float, x: float, y: float) -> bool:
    """True if (x, y) is so close that the plane holds there."""
    return abs(x - lng) <= NEAR_DEG and abs(y - lat) <= NEAR_DEG


@kernel
def _plane_m(x0: float, y0: float, x1: float, y1: float) -> float:
    """How far a segment is from (0, 0)."""
    dx, dy = x1 - x0, y1 - y0
    size = dx * dx + dy * dy
    t = 0.0 if size == 0.0 else min(1.0, max(0.0, -(x0 * dx + y0 * dy) / size))
    x, y = x0 + t * dx, y0 + t * dy
    return math.sqrt(x * x + y * y)


@kernel
def _edge_m(lat: float, lng: float, x0: float, y0: float, x1: float, y1: float) -> float:
    """How far a segment is from a point, as `cover.line_m` measures it."""
    px, py, pz = ecef(lat, lng)
    d2, to_lat, to_lng = nearest_point(lat, lng, px, py, pz, x0, y0, x1, y1)
    return float(ground_m(d2, lat, lng, to_lat, to_lng))
