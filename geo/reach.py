"""Is a whole circle round a point in a fence, or out of it: the question of a fix with an accuracy.

Owns short ways to the answers that `cover.signed_m` gives, for points of which it is known whether the fence covers
them. Must not know devices. A plane at the point tells which edges come near; what it cannot tell for sure is measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import AREA, BLOCK, CIRCLE, STEPS, Columns
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


class Outlines(NamedTuple):
    """Of some fences, what is asked of each first: its kind, the edges of its border, its first edge, its first box.

    Whoever asks of many fences keeps these where they have the fence at hand: each is a walk through memory less.
    """

    kind: IntArray
    first: IntArray
    last: IntArray
    row: IntArray
    block: IntArray


#: The same of one fence.
Outline = tuple[int, int, int, int, int]


def outlines_of(columns: Columns, row: IntArray) -> Outlines:
    """The outlines of the fences in these rows of the columns."""
    kind, span = columns.kind[row], columns.span[row]
    is_area = kind == AREA
    first, last = np.where(is_area, span[:, 1], span[:, 0]), np.where(is_area, span[:, 3], span[:, 2])
    return Outlines(kind, first, last, span[:, 0], columns.first_block[row])


@inlined
def circle_in(columns: Columns, f: int, outline: Outline, lat: float, lng: float, radius_m: float) -> bool:
    """True if `signed_m <= -radius_m`, for a point that fence `f` covers."""
    kind = outline[0]
    if kind == CIRCLE:
        return _is_within(columns, f, lat, lng, -radius_m)
    m = radius_m if kind == AREA else columns.size_m[f] - radius_m
    near = _comes_near(columns.edges, columns.boxes, columns.sketch, outline, lat, lng, m, kind != AREA)
    return bool(near != (kind == AREA))


@inlined
def circle_out(columns: Columns, f: int, outline: Outline, lat: float, lng: float, radius_m: float) -> bool:
    """True if `signed_m > radius_m`, for a point that fence `f` does not cover."""
    kind = outline[0]
    if kind == CIRCLE:
        return not _is_within(columns, f, lat, lng, radius_m)
    if kind == AREA and radius_m < 1e-9:
        return True
    m = radius_m if kind == AREA else columns.size_m[f] + radius_m
    return not _comes_near(columns.edges, columns.boxes, columns.sketch, outline, lat, lng, m, True)


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


@kernel
def _comes_near(
    edges: FloatArray, boxes: FloatArray, sketch: IntArray, outline: Outline, lat: float, lng: float, m: float,
    or_at: bool,
) -> bool:  # fmt: skip
    """True if the border is less than `m` metres away, or just as far and `or_at`."""
    _, first, last, row, block = outline
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
        # the window in steps of the box, one wider each way: the sketch is right to half of one
        step_x, step_y = (x1 - x0) / STEPS, (y1 - y0) / STEPS
        left, right = _step(west - x0, step_x, -1.0), _step(east - x0, step_x, 1.0)
        below, above = _step(south - y0, step_y, -1.0), _step(north - y0, step_y, 1.0)
        off_x, off_y, each_x, each_y = (x0 - lng) * east_m, (y0 - lat) * north_m, step_x * east_m, step_y * north_m
        slack_m = each_x + each_y
        for e in range(max(first, start), min(last, start + BLOCK)):
            if near:
                i0, j0, i1, j1 = row_of(sketch, e)
                if (i0 > right and i1 > right) or (i0 < left and i1 < left):
                    continue
                if (j0 > above and j1 > above) or (j0 < below and j1 < below):
                    continue
                away_m = _plane_m(off_x + i0 * each_x, off_y + j0 * each_y, off_x + i1 * each_x, off_y + j1 * each_y)
                if away_m > perhaps_m + slack_m:
                    continue
                if away_m < surely_m - slack_m:
                    return True
            x0, y0, x1, y1 = row_of(edges, e)
            if near or (plane and _is_near(lat, lng, x0, y0) and _is_near(lat, lng, x1, y1)):
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
def _step(deg: float, step_deg: float, wider: float) -> int:
    """Where in the steps of a box something is, and a step further; of a box without width it is beyond its steps."""
    if step_deg == 0.0:
        return int(2.0 * STEPS * wider)
    return int(max(-2.0, min(STEPS + 2.0, deg / step_deg + wider)))


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
