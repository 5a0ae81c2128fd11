"""From a record to the fences of one point: the whole ones as they are, the border ones by the exact predicates.

Owns the reading of records. Must not know how a point's record was found. Loops over circles and over edges have no
branches that depend on the point, but one, hardly ever taken: what the fast arithmetic leaves open is asked again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import at_end, in_area, in_disc
from geo.geodesic import A_M, E2
from geo.kernel import inlined, kernel
from geo.orient import FILTER, orient
from geo.record import WHOLE_FENCE
from geo.segment import least_m, segment_m


class Tables(NamedTuple):
    """The index as arrays; see `tiles` and `record` for their layout. `ints` and `floats` are views of `arena`."""

    lattices: FloatArray
    table: IntArray
    slots: IntArray
    arena: IntArray
    ints: IntArray
    floats: FloatArray
    columns: Columns


@inlined
def decide(t: Tables, word: int, lat: float, lng: float, x: float, y: float, z: float, out: IntArray, size: int) -> int:
    """Put the border fences of the record at `word` that hold the point into `out[size:]`; returns the new size.

    (x, y, z) is the point's unit vector; `out` has room for all of them.
    """
    whole, border = int(t.ints[2 * word]), int(t.ints[2 * word + 1])
    discs, clipped = int(t.ints[2 * word + 2]), int(t.ints[2 * word + 3])
    word += 2 + (whole + 1) // 2
    n = A_M / math.sqrt(1.0 - E2 * z * z)
    px, py, pz = n * x, n * y, n * (1.0 - E2) * z
    for _ in range(discs):
        f = t.ints[2 * word]
        d2 = (px - t.floats[word + 1]) ** 2 + (py - t.floats[word + 2]) ** 2 + (pz - t.floats[word + 3]) ** 2
        inside = d2 <= t.floats[word + 4]
        if (not inside) & (d2 <= t.floats[word + 5]):
            inside = in_disc(t.columns, f, lat, lng, px, py, pz)
        out[size] = f
        size += inside
        word += 6
    for _ in range(clipped):
        meta = int(t.ints[2 * word + 1])
        out[size] = t.ints[2 * word]
        size += in_clipped(t.floats, word + 1, meta >> 2, (meta & 1) != 0, (meta & 2) != 0, lng, lat)
        word += 1 + 4 * (meta >> 2)
    for _ in range(border - discs - clipped):
        f, count = int(t.ints[2 * word]), int(t.ints[2 * word + 1])
        out[size] = f
        if count == WHOLE_FENCE:
            size += in_area(t.columns, f, lat, lng)
            word += 1
        else:
            size += _in_line(t.floats, word + 1, count, t.columns.size_m[f], lat, lng, px, py, pz)
            word += 1 + 4 * count
    return size


@kernel
def in_clipped(floats: FloatArray, word: int, count: int, odd: bool, west: bool, x: float, y: float) -> bool:
    """`cover.in_rings` on the clipped edges: crossings of a ray to the east or the west, or on an edge.

    A determinant that is not surely different from 0 may mean a point on an edge, at a corner or within a rounding of
    them: then the edges are gone through again with care.
    """
    unsure = False
    inside = odd
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        left, right = (x1 - x0) * (y - y0), (y1 - y0) * (x - x0)
        side = left - right
        unsure |= abs(side) <= FILTER * (abs(left) + abs(right))
        inside ^= ((y0 > y) != (y1 > y)) & (((side > 0.0) == (y1 > y0)) != west)
    return _in_clipped_exactly(floats, word, count, odd, west, x, y) if unsure else inside


@kernel
def _in_clipped_exactly(floats: FloatArray, word: int, count: int, odd: bool, west: bool, x: float, y: float) -> bool:
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        if (y0 > y) != (y1 > y):
            side = orient(x0, y0, x1, y1, x, y)
            if side == 0.0:
                return True
            odd ^= ((side > 0.0) == (y1 > y0)) != west
        elif at_end(x0, y0, x1, y1, x, y):
            return True
    return odd


@kernel
def _in_line(
    floats: FloatArray, word: int, count: int, buffer_m: float, lat: float, lng: float,
    px: float, py: float, pz: float,
) -> bool:  # fmt: skip
    """True if one of a corridor's edges in the record is in reach."""
    cos_lat = math.cos(math.radians(lat))
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        if (
            least_m(lat, lng, cos_lat, x0, y0, x1, y1) <= buffer_m
            and segment_m(lat, lng, px, py, pz, x0, y0, x1, y1) <= buffer_m
        ):
            return True
    return False


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
