"""From a record to the fences of one point: the whole ones as they are, the border ones by the exact predicates.

Owns the reading of records. Must not know how a point's record was found. Loops over circles and over edges have no
branches that depend on the point, but one, hardly ever taken: what the shortened numbers leave open is asked of the
fence itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from geo.arrays import FloatArray, IntArray, ShortArray
from geo.columns import Columns
from geo.cover import in_area, in_disc
from geo.geodesic import A_M, E2
from geo.kernel import inlined, kernel
from geo.record import HEAD, WHOLE_FENCE
from geo.segment import NEAR_M, ground_m, least_chord2, least_m, nearest_point


class Tables(NamedTuple):
    """The index as arrays; see `tiles` and `record` for their layout. The last three but one are views of `arena`."""

    lattices: FloatArray
    table: IntArray
    slots: IntArray
    arena: IntArray
    ints: IntArray
    shorts: ShortArray
    floats: FloatArray
    columns: Columns


@inlined
def decide(t: Tables, word: int, lat: float, lng: float, x: float, y: float, z: float, out: IntArray, size: int) -> int:
    """Put the border fences of the record at `word` that hold the point into `out[size:]`; returns the new size.

    (x, y, z) is the point's unit vector; `out` has room for all of them.
    """
    whole, border = int(t.ints[2 * word]), int(t.ints[2 * word + 1])
    at = 2 * word + 2
    discs, clipped = int(t.ints[at]), int(t.ints[at + 1])
    off_lng, off_lat, slack = lng - t.shorts[at + 2], lat - t.shorts[at + 3], float(t.shorts[at + 4])
    n = A_M / math.sqrt(1.0 - E2 * z * z)
    px, py, pz = n * x, n * y, n * (1.0 - E2) * z
    off_x, off_y, off_z = px - t.shorts[at + 5], py - t.shorts[at + 6], pz - t.shorts[at + 7]
    at += 2 * HEAD + whole + (whole & 1)
    for _ in range(discs):
        f = t.ints[at]
        d2 = (off_x - t.shorts[at + 1]) ** 2 + (off_y - t.shorts[at + 2]) ** 2 + (off_z - t.shorts[at + 3]) ** 2
        inside = d2 <= t.shorts[at + 4]
        if (not inside) & (d2 <= t.shorts[at + 5]):
            inside = in_disc(t.columns, f, lat, lng, px, py, pz)
        out[size] = f
        size += inside
        at += 6
    for _ in range(clipped):
        f, meta = t.ints[at], int(t.ints[at + 1])
        at += 2
        inside, unsure = in_clipped(t.shorts, at, meta, slack, off_lng, off_lat)
        if unsure:
            inside = in_area(t.columns, f, lat, lng)
        out[size] = f
        size += inside
        at += 4 * (meta >> 2)
    for _ in range(border - discs - clipped):
        f, count = t.ints[at], int(t.ints[at + 1])
        at += 2
        out[size] = f
        if count == WHOLE_FENCE:
            size += in_area(t.columns, f, lat, lng)
        else:
            size += _in_line(t.floats, at // 2, count, t.columns.size_m[f], lat, lng, px, py, pz)
            at += 8 * count
    return size


@kernel
def in_clipped(shorts: ShortArray, at: int, meta: int, slack: float, x: float, y: float) -> tuple[bool, bool]:
    """(inside, unsure) of a point by the clipped edges: crossings of a ray to the east or the west.

    Unsure is who may be on the other side of an edge, or level with the other side of its end, if the ends are up to
    `slack` from where float32 has them: the determinant then changes by less than the bound below.
    """
    inside, west = (meta & 1) != 0, (meta & 2) != 0
    unsure = False
    for k in range(at, at + 4 * (meta >> 2), 4):
        x0, y0, x1, y1 = float(shorts[k]), float(shorts[k + 1]), float(shorts[k + 2]), float(shorts[k + 3])
        dx, dy, ex, ey = x1 - x0, y1 - y0, x - x0, y - y0
        side = dx * ey - dy * ex
        bound = slack * (2.5 * (abs(dx) + abs(dy) + abs(ex) + abs(ey)) + 4.0 * slack)
        level = (abs(ey) <= slack) | (abs(y - y1) <= slack)
        behind = (min(x0, x1) > x + slack) if west else (max(x0, x1) < x - slack)
        unsure |= (abs(side) <= bound) | (level & (not behind))
        inside ^= ((y0 > y) != (y1 > y)) & (((side > 0.0) == (y1 > y0)) != west)
    return inside, unsure


@kernel
def _in_line(
    floats: FloatArray, word: int, count: int, buffer_m: float, lat: float, lng: float,
    px: float, py: float, pz: float,
) -> bool:  # fmt: skip
    """`cover.in_corridor` on the edges in the record, until one is in reach without doubt."""
    best, best_lat, best_lng = math.inf, lat, lng
    cos_lat = math.cos(math.radians(lat))
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        least = least_m(lat, lng, cos_lat, x0, y0, x1, y1)
        if least <= 1.001 * buffer_m and least_chord2(least) < best:
            d2, to_lat, to_lng = nearest_point(lat, lng, px, py, pz, x0, y0, x1, y1)
            if d2 <= NEAR_M * NEAR_M and ground_m(d2, lat, lng, to_lat, to_lng) <= buffer_m:
                return True
            if d2 < best:
                best, best_lat, best_lng = d2, to_lat, to_lng
    return best < math.inf and ground_m(best, lat, lng, best_lat, best_lng) <= buffer_m


@kernel
def sort_tail(out: IntArray, row: int, sorted_to: int, size: int) -> None:
    """Sort out[row:size], of which the part up to `sorted_to` is sorted: by insertion, long tails from afar first."""
    gap = 1
    while size - sorted_to > 16 and gap * 9 < size - row:
        gap = 3 * gap + 1
    first = row + gap if gap > 1 else max(sorted_to, row + 1)
    while gap > 0:
        for k in range(first, size):
            fence = out[k]
            at = k
            while at >= row + gap and out[at - gap] > fence:
                out[at] = out[at - gap]
                at -= gap
            out[at] = fence
        gap //= 3
        first = row + gap
