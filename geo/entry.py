"""A border fence as one cell sees it: a few short edges in the cell's own plane.

Owns the making of entries and the one reading of them, `in_entry`. Must not know records or slots.

An entry is a row of int32: the fence, then

    odd | west << 1 | edges << 2 | tolerance << 16

then where each edge begins, then the way of each to its end: a word each, x and y, int16, x low. Places are in the
plane of the cell's face, from the middle of the cell, SCALE of them to a step of the lattice: a finer ruler than any
fix, on which points are put down too. Edges are clipped to a slightly larger hexagon. A point is inside if `odd`,
changed by each edge that a ray from it crosses, east along the rows of cells or `west`. Where the border leaves the
hexagon on the side that the ray goes to, an upright edge beyond all points stands for what follows.

All this is rounded, and edges that are nearly in line are joined to one. But the border in the cell can be drawn back
to these edges without ever being further than `tolerance` from them: corners that are left out lie in the hexagon, and
so does the edge in their place. So who is further than that from all edges is rightly judged; who is not is *unsure*,
and asks the fence itself (`cover`), in double and, if need be, without any rounding. No answer ever rests on a
shortened number.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import covers
from geo.kernel import inlined, kernel, maker
from geo.lanes import COORDINATE_MAX, FEW, MANY, look_at_few, look_at_many
from geo.raster import MARGIN
from geo.trig import lat_lng
from geo.window import ROW, Window, vector_at

SCALE = 25_000.0
"""A clipped edge reaches 0.59 steps from the middle: 14,700 of these."""

BEYOND = COORDINATE_MAX
"""x of upright edges: further than any point of the cell."""

HALF = BEYOND + 0.5
"""Added before a number is cut, so that it is rounded, be it negative or not."""

ROUNDED = 2
"""More than what the ends of an edge and a point together are off by being put down in whole numbers."""

JOIN_MAX = 1.0 / 512.0
"""Corners that are no further than this from the line past them are left out."""

JOINS = (0.0, 3.0 * JOIN_MAX, 8.0 * JOIN_MAX, 20.0 * JOIN_MAX)
"""What may be better, of more edges than FEW: little where they are so dense that many points would be unsure, much on
a rugged shore."""

JOINED_MAX = 32
"""So many pieces make one edge at most: each new one looks at all corners left out before."""

EDGES_MAX = 4_000
"""Of a border with more edges in one cell nothing is kept: every point of the cell asks the fence itself."""

TOLERANCE_MAX = 32_767
"""A tolerance of which everybody is unsure."""

BARELY = 2.0**-53
"""A share of a piece that takes it nowhere."""

SAMPLES = ((0.0, 0.0), (0.31, 0.07), (-0.31, -0.07), (0.09, -0.33), (-0.09, 0.33), (0.17, 0.19), (-0.17, -0.19))
"""Places in a cell, one of which tells `odd`: the first that is sure."""


class Scratch(NamedTuple):
    """Where entries are made: `edges` int16, four each, `exits` int16[.., 2], `run` float64[.., 2], corners joined."""

    edges: IntArray
    exits: IntArray
    run: FloatArray


@inlined
def in_entry(words: IntArray, end: int, meta: int, place: int) -> tuple[bool, bool]:
    """(inside, unsure) of a point at a `place_of` the cell by the edges that end before `words[end]`.

    They are looked at by FEW or by MANY. Of the last some may have been seen before, or be no edges but other words,
    which are in the same lines of the cache mostly.
    """
    left, crossed, near = (meta >> 2) & 0x3FFF, 0, 0
    ways = end - left
    if left <= FEW:
        found = look_at_few(words, ways - FEW, end - FEW, FEW - left, meta, place)
    else:
        begins = ways - left
        while left > MANY:
            found = look_at_many(words, begins, end - left, 0, meta, place)
            crossed, near, begins, left = crossed ^ found, near | found, begins + MANY, left - MANY
        found = look_at_many(words, ways - MANY, end - MANY, MANY - left, meta, place)
    crossed, near = crossed ^ found, near | found
    return ((crossed ^ meta) & 1) != 0, near > 1


@inlined
def place_of(x: float, y: float) -> int:
    """A place of the cell, in steps from its middle, as a word: x low, y high."""
    return (int(x * SCALE + HALF) - BEYOND & 0xFFFF) | (int(y * SCALE + HALF) - BEYOND) << 16


@kernel
def put_entry(
    columns: Columns, f: int, w: Window, i: int, j: int, link: int, links: IntArray,
    ends: FloatArray, bends: FloatArray, scratch: Scratch, words: IntArray, used: int,
) -> int:  # fmt: skip
    """Write the entry of fence `f` in cell (i, j), whose pieces are linked from `link` on; returns the next free word.

    `words` has room for two edges a piece, and for two more; WORDS words are before `used`.
    """
    count, exits, tolerance = _clip_and_join(i, j, link, links, ends, bends, scratch, JOIN_MAX)
    if count > FEW:
        asking = _asking_ns(columns, f)
        best, least = JOIN_MAX, _cost_ns(scratch, count, tolerance, asking)
        for k in range(len(JOINS)):
            count, exits, tolerance = _clip_and_join(i, j, link, links, ends, bends, scratch, JOINS[k])
            cost = _cost_ns(scratch, count, tolerance, asking)
            if cost < least:
                best, least = JOINS[k], cost
        count, exits, tolerance = _clip_and_join(i, j, link, links, ends, bends, scratch, best)
    count, west = _close(scratch, count, exits)
    meta = west << 1 | count << 2 | (math.ceil(tolerance * SCALE) + ROUNDED) << 16
    end = used + 2 + 2 * count
    for k in range(count):
        x0, y0, x1, y1 = scratch.edges[4 * k : 4 * k + 4]
        words[used + 2 + k] = _pair(int(x0), int(y0))
        words[used + 2 + count + k] = _pair(int(x1) - int(x0), int(y1) - int(y0))
    odd = _odd(columns, f, w, i, j, words, end, meta) if count <= EDGES_MAX else -1
    if odd < 0:
        return put_asking(words, used, f)
    words[used], words[used + 1] = f, meta | odd
    return end


@kernel
def _pair(x: int, y: int) -> int:
    return (x & 0xFFFF) | y << 16


@kernel
def put_asking(words: IntArray, used: int, f: int) -> int:
    """Write an entry that is unsure of every point: one edge of no length, near to all."""
    words[used], words[used + 1] = f, 1 << 2 | TOLERANCE_MAX << 16
    words[used + 2], words[used + 3] = 0, 0
    return used + 4


@maker
def new_scratch(pieces: int) -> Scratch:
    """Room for the edges of a cell that so many pieces touch."""
    edges = np.empty(4 * (2 * pieces + 2), np.int16)
    return Scratch(edges, np.empty((2 * pieces + 2, 2), np.int16), np.empty((JOINED_MAX + 2, 2)))


@kernel
def _clip_and_join(
    i: int, j: int, link: int, links: IntArray, ends: FloatArray, bends: FloatArray, s: Scratch, join_max: float
) -> tuple[int, int, float]:
    """Fill the scratch with the edges in the cell and the exits of the border from it; (edges, exits, tolerance)."""
    cx, cy = i - 0.5 * j, j * ROW
    edges, exits, size, last = 0, 0, 0, -2
    tolerance, off, bend = 0.0, 0.0, 0.0
    from_inside, to_inside = False, False
    while link >= 0:
        p = links[link, 1]
        link = links[link, 0]
        x0, y0, x1, y1 = ends[p, 0] - cx, ends[p, 1] - cy, ends[p, 2] - cx, ends[p, 3] - cy
        t0, t1 = _stretch(x0, y0, x1, y1)
        if t0 > t1:
            continue
        x, y = (x1, y1) if t1 == 1.0 else (x0 + t1 * (x1 - x0), y0 + t1 * (y1 - y0))
        goes_on = to_inside and t0 == 0.0 and p == last + 1 and 0 < size <= JOINED_MAX
        if goes_on and ends[p, 0] == ends[last, 2] and ends[p, 1] == ends[last, 3]:
            further = _furthest(s.run, size, x, y)
            if further <= join_max:
                s.run[size, 0], s.run[size, 1] = x, y
                size, last, off, bend, to_inside = size + 1, p, further, max(bend, bends[p]), t1 == 1.0
                continue
        if size > 0:
            tolerance = max(tolerance, off + bend)
            edges, exits = _put_edge(s, edges, exits, size, from_inside, to_inside)
        s.run[0, 0], s.run[0, 1] = (x0, y0) if t0 == 0.0 else (x0 + t0 * (x1 - x0), y0 + t0 * (y1 - y0))
        s.run[1, 0], s.run[1, 1] = x, y
        size, last, off, bend, from_inside, to_inside = 2, p, 0.0, bends[p], t0 == 0.0, t1 == 1.0
    if size > 0:
        tolerance = max(tolerance, off + bend)
        edges, exits = _put_edge(s, edges, exits, size, from_inside, to_inside)
    return edges, exits, tolerance


@kernel
def _asking_ns(columns: Columns, f: int) -> float:
    """About what it costs to ask a fence itself: most of it is to wait for memory."""
    return 50.0 + 6.0 * math.sqrt(float(columns.span[f, 3] - columns.span[f, 0]))


@kernel
def _cost_ns(s: Scratch, edges: int, tolerance: float, asking_ns: float) -> float:
    """About what a point of the cell costs: each edge is a nanosecond, and it asks the fence where it is unsure."""
    length = 0.0
    for k in range(0, 4 * edges, 4):
        length += math.hypot(float(s.edges[k + 2] - s.edges[k]), float(s.edges[k + 3] - s.edges[k + 1]))
    unsure = 2.0 * (tolerance + ROUNDED / SCALE) * (length / SCALE) / ROW
    return edges + asking_ns * min(1.0, unsure)


@kernel
def _stretch(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float]:
    """(t0, t1): the part of a piece, as shares of its way, in the enlarged hexagon; none if t0 > t1.

    t0 is 0 and t1 is 1 if, and only if, that end lies in the hexagon. Each end is asked by itself, so that two pieces
    that meet in a corner agree about it, be it on the very rim: or else an exit would be counted twice, or never.
    """
    t0, t1, half = 0.0, 1.0, 0.5 + MARGIN
    from_inside, to_inside = _in_hexagon(x0, y0), _in_hexagon(x1, y1)
    for axis in range(3):
        nx = 1.0 if axis == 0 else 0.5
        ny = 0.0 if axis == 0 else ROW if axis == 1 else -ROW
        at, way = nx * x0 + ny * y0, nx * (x1 - x0) + ny * (y1 - y0)
        if way == 0.0:
            if abs(at) > half and not (from_inside or to_inside):
                return 1.0, 0.0
            continue
        a, b = (-half - at) / way, (half - at) / way
        t0, t1 = max(t0, min(a, b)), min(t1, max(a, b))
    t0 = 0.0 if from_inside else max(t0, BARELY)
    t1 = 1.0 if to_inside else min(t1, 1.0 - BARELY)
    if from_inside:
        t1 = max(t1, BARELY)
    elif to_inside:
        t0 = min(t0, 1.0 - BARELY)
    return t0, t1


@kernel
def _in_hexagon(x: float, y: float) -> bool:
    """True if a place is in the enlarged hexagon."""
    half = 0.5 + MARGIN
    return abs(x) <= half and abs(0.5 * x + ROW * y) <= half and abs(0.5 * x - ROW * y) <= half


@kernel
def _furthest(run: FloatArray, size: int, x: float, y: float) -> float:
    """How far the corners of a run but its first are at most from the segment from its first to (x, y)."""
    x0, y0 = run[0, 0], run[0, 1]
    dx, dy = x - x0, y - y0
    length2, most2 = dx * dx + dy * dy, 0.0
    for k in range(1, size):
        ex, ey = run[k, 0] - x0, run[k, 1] - y0
        t = min(1.0, max(0.0, (ex * dx + ey * dy) / length2)) if length2 > 0.0 else 0.0
        most2 = max(most2, (ex - t * dx) ** 2 + (ey - t * dy) ** 2)
    return math.sqrt(most2)


@kernel
def _put_edge(s: Scratch, edges: int, exits: int, size: int, from_inside: bool, to_inside: bool) -> tuple[int, int]:
    """Put the run down as one edge, and where it leaves the hexagon as (side, y)."""
    at = 4 * edges
    for end in range(2):
        corner = 0 if end == 0 else size - 1
        s.edges[at + 2 * end] = math.floor(s.run[corner, 0] * SCALE + 0.5)
        s.edges[at + 2 * end + 1] = math.floor(s.run[corner, 1] * SCALE + 0.5)
        if not (from_inside if end == 0 else to_inside):
            s.exits[exits, 0] = 1 if s.run[corner, 0] > 0.0 else -1
            s.exits[exits, 1] = s.edges[at + 2 * end + 1]
            exits += 1
    return edges + 1, exits


@kernel
def _close(s: Scratch, edges: int, exits: int) -> tuple[int, int]:
    """Add an upright edge for each two exits on the side that has fewer; (edges, 1 if that is the west)."""
    east = 0
    for k in range(exits):
        east += s.exits[k, 0] == 1
    west = exits - east < east
    side = -1 if west else 1
    low = -BEYOND
    for k in range(exits):
        if s.exits[k, 0] != side:
            continue
        if low == -BEYOND:
            low = int(s.exits[k, 1])
            s.edges[4 * edges : 4 * edges + 4] = side * BEYOND
            s.edges[4 * edges + 1], s.edges[4 * edges + 3] = low, -BEYOND
            edges += 1
        else:
            s.edges[4 * edges - 1] = s.exits[k, 1]
            low = -BEYOND
    return edges, int(west)


@kernel
def _odd(columns: Columns, f: int, w: Window, i: int, j: int, words: IntArray, end: int, meta: int) -> int:
    """The bit that makes the edges say what the fence says, by one place that they are sure of; -1 if there is none."""
    for k in range(len(SAMPLES)):
        x, y = SAMPLES[k]
        inside, unsure = in_entry(words, end, meta, place_of(x, y))
        if not unsure:
            lat, lng = lat_lng(*vector_at(w, i - 0.5 * j + x, j * ROW + y))
            return int(inside != covers(columns, f, lat, lng))
    return -1
