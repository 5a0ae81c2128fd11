"""Is a point in a fence, and how far from its border: decided from all of the fence, exactly.

Owns the meaning of "inside": `covers`, the border belongs to the fence. Must not know the index, which is a faster way
to the same answers. Longitudes 180 and -180 are one meridian.
"""

from __future__ import annotations

import math

from geo.arrays import LINE_BYTES, FloatArray, IntArray
from geo.columns import AREA, BLOCK, BOX, CIRCLE, GROUP, Columns
from geo.geodesic import ecef, inverse
from geo.kernel import kernel
from geo.memory import fetch, peek
from geo.orient import FILTER, UNDERFLOW, orient
from geo.segment import ground_m, least_chord2, least_m, nearest_point
from geo.trig import sincos_deg

PLAIN = 1e-9
"""So many degrees from 0 no product underflows, and an edge that is so far east of a point needs no determinant."""

AHEAD = 24
"""So many boxes of a fence are fetched ahead at most."""

LINE = LINE_BYTES // 8
"""Numbers in a line of the processor's cache."""

UNTOLD, AT = 2, 3
"""Instead of how often, odd or even, a ray crosses: not told, and of no matter since the point is on the border."""


@kernel
def in_rings(columns: Columns, f: int, x: float, y: float) -> bool:
    """True if (x, y) lies within, by the even-odd rule, or on the rings of area `f`."""
    boxes, first, last = columns.boxes, columns.span[f, 0], columns.span[f, 2]
    block, blocks = columns.first_block[f], (last - first + BLOCK - 1) // BLOCK
    groups = block + (columns.span[f, 3] - first + BLOCK - 1) // BLOCK
    is_plain = abs(x) > PLAIN and abs(y) > PLAIN
    if not is_plain and x < _west(boxes, block, blocks):
        return False
    east = x + PLAIN if is_plain else math.inf
    odd = 0
    for group in range(0, blocks, GROUP):
        crossed = _by_box(boxes, groups + group // GROUP, x, y, east) if blocks > GROUP else UNTOLD
        if crossed != UNTOLD:
            odd ^= crossed
            continue
        for k in range(group, min(group + GROUP, blocks)):
            crossed = _by_box(boxes, block + k, x, y, east)
            if crossed == UNTOLD:
                start, end = first + BLOCK * k, min(first + BLOCK * (k + 1), last)
                crossed = _by_filter(columns.edges, start, end, x, y)
                if crossed == UNTOLD:
                    crossed = _by_each_edge(columns.edges, start, end, x, y)
                    if crossed == AT:
                        return True
            odd ^= crossed
    return odd == 1


@kernel
def fetch_fence(columns: Columns, f: int) -> None:
    """Have soon what all questions about a fence begin with."""
    fetch(columns.kind, f)
    fetch(columns.span, 4 * f)
    fetch(columns.first_block, f)


@kernel
def fetch_boxes(columns: Columns, f: int) -> None:
    """Have soon what `in_rings` looks at first: the first boxes, of groups where there are some."""
    blocks, box = (columns.span[f, 3] - columns.span[f, 0] + BLOCK - 1) // BLOCK, columns.first_block[f]
    if blocks > GROUP:
        box, blocks = box + blocks, (blocks + GROUP - 1) // GROUP
    for k in range(BOX * box, BOX * (box + min(blocks, AHEAD)), LINE):
        fetch(columns.boxes, k)


@kernel
def _by_box(boxes: FloatArray, box: int, x: float, y: float, east: float) -> int:
    """1 if a ray east from the point crosses an odd number of the edges in a box, else 0; UNTOLD if that is not plain.

    All of a box that begins beyond `east` is east of the point. Edges that hang together there are crossed as often as
    the way from the first to the last.
    """
    at = BOX * box
    if (y < peek(boxes, at + 1)) | (y > peek(boxes, at + 3)) | (x > peek(boxes, at + 2)):
        return 0
    begins, ends = peek(boxes, at + 4), peek(boxes, at + 5)
    if (east < peek(boxes, at)) & (not math.isnan(begins)):
        return int((begins > y) != (ends > y))
    return UNTOLD


@kernel
def _by_filter(edges: FloatArray, first: int, last: int, x: float, y: float) -> int:
    """The same of the edges `first:last`; UNTOLD if one is so near that `orient` would not trust its filter.

    Without a branch, so that the compiler makes vector code of it.
    """
    odd, is_open = 0, 0
    for e in range(first, last):
        x0, y0, x1, y1 = peek(edges, 4 * e), peek(edges, 4 * e + 1), peek(edges, 4 * e + 2), peek(edges, 4 * e + 3)
        left, right = (x1 - x0) * (y - y0), (y1 - y0) * (x - x0)
        side = left - right
        is_sure = (abs(side) > FILTER * (abs(left) + abs(right))) & (abs(side) > UNDERFLOW)
        passes = (y0 > y) ^ (y1 > y)
        odd ^= passes & ((side > 0.0) ^ (y1 <= y0))
        is_open |= (passes | (y0 == y) | (y1 == y)) & (not is_sure)
    return UNTOLD if is_open else odd


@kernel
def _by_each_edge(edges: FloatArray, first: int, last: int, x: float, y: float) -> int:
    """The same, never UNTOLD; AT if the point is on an edge."""
    odd = 0
    for e in range(first, last):
        x0, y0, x1, y1 = row_of(edges, e)
        if x0 < x and x1 < x:
            continue
        if (y0 > y) != (y1 > y):
            side = orient(x0, y0, x1, y1, x, y)
            if side == 0.0:
                return AT
            odd ^= int((side > 0.0) == (y1 > y0))
        elif (y0 == y or y1 == y) and at_end(x0, y0, x1, y1, x, y):
            return AT
    return odd


@kernel
def _west(boxes: FloatArray, block: int, count: int) -> float:
    """Where a fence begins. Who is west of it is outside, never mind what underflow would make of it."""
    west = math.inf
    for k in range(block, block + count):
        west = min(west, boxes[k, 0])
    return west


@kernel
def at_end(x0: float, y0: float, x1: float, y1: float, x: float, y: float) -> bool:
    """True if (x, y), level with an end of an edge that does not pass it, lies on the edge."""
    if y0 == y1:
        return y0 == y and min(x0, x1) <= x <= max(x0, x1)
    return (x0 == x and y0 == y) or (x1 == x and y1 == y)


@kernel
def in_area(columns: Columns, f: int, lat: float, lng: float) -> bool:
    """`covers` for an area."""
    return in_rings(columns, f, lng, lat) or (abs(lng) == 180.0 and in_rings(columns, f, -lng, lat))


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
def line_m(columns: Columns, f: int, first: int, last: int, lat: float, lng: float) -> float:
    """Metres from a point to the nearest of the edges `first:last` of fence `f`; inf if there are none.

    Nearest by the straight distance, which up to 50 km is the nearest along the ground to 1 mm. The block that promises
    most is measured first, then only what could be nearer.
    """
    _, cos_lat = sincos_deg(lat)
    point = ecef(lat, lng)
    row, block = columns.span[f, 0], columns.first_block[f]
    promise, start = math.inf, row
    for k in range(row, last, BLOCK):
        m = least_m(lat, lng, cos_lat, *row_of(columns.boxes, block + (k - row) // BLOCK))
        if m < promise and k + BLOCK > first:
            promise, start = m, k
    best = math.inf, lat, lng
    best = _nearer(columns, max(first, start), min(last, start + BLOCK), lat, lng, cos_lat, point, best)
    for k in range(row, last, BLOCK):
        m = least_m(lat, lng, cos_lat, *row_of(columns.boxes, block + (k - row) // BLOCK))
        if k != start and least_chord2(m) < best[0]:
            best = _nearer(columns, max(first, k), min(last, k + BLOCK), lat, lng, cos_lat, point, best)
    return math.inf if best[0] == math.inf else ground_m(best[0], lat, lng, best[1], best[2])


@kernel
def row_of(table: FloatArray | IntArray, k: int) -> tuple[float, float, float, float]:
    """A row of four numbers; to unpack it as an array costs a look at its length."""
    return table[k, 0], table[k, 1], table[k, 2], table[k, 3]


@kernel
def _nearer(
    columns: Columns, first: int, last: int, lat: float, lng: float, cos_lat: float,
    point: tuple[float, float, float], best: tuple[float, float, float],
) -> tuple[float, float, float]:  # fmt: skip
    """`best`, or what of the edges `first:last` is nearer: (squared straight distance, lat, lng)."""
    for e in range(first, last):
        edge = row_of(columns.edges, e)
        if least_chord2(least_m(lat, lng, cos_lat, *edge)) < best[0]:
            found = nearest_point(lat, lng, *point, *edge)
            if found[0] < best[0]:
                best = found
    return best


@kernel
def in_corridor(columns: Columns, f: int, lat: float, lng: float) -> bool:
    """`covers` for a corridor."""
    return bool(line_m(columns, f, columns.span[f, 0], columns.span[f, 2], lat, lng) <= columns.size_m[f])


@kernel
def covers(columns: Columns, f: int, lat: float, lng: float) -> bool:
    """True if the point (degrees) is in fence `f` or on its border."""
    if columns.kind[f] == AREA:
        return in_area(columns, f, lat, lng)
    if columns.kind[f] == CIRCLE:
        px, py, pz = ecef(lat, lng)
        return in_disc(columns, f, lat, lng, px, py, pz)
    return in_corridor(columns, f, lat, lng)


@kernel
def signed_m(columns: Columns, f: int, lat: float, lng: float) -> float:
    """Metres from the point to the border of fence `f`: negative inside, 0 on it, positive outside."""
    if columns.kind[f] == CIRCLE:
        return float(inverse(columns.disc[f, 0], columns.disc[f, 1], lat, lng) - columns.size_m[f])
    if columns.kind[f] == AREA:
        m = line_m(columns, f, columns.span[f, 1], columns.span[f, 3], lat, lng)
        return -m if in_area(columns, f, lat, lng) else max(m, 1e-9)
    m = line_m(columns, f, columns.span[f, 0], columns.span[f, 2], lat, lng)
    return float(m - columns.size_m[f])
