"""Which cells a fence touches: the rasteriser of areas and circles.

Owns the classification of cells as *whole* (every point that falls into the cell is in the fence) or *border* (some may
be); all others are empty. And which pieces of the border come near which cell. Must not know how the index stores them.
Works on one fence, one resolution, one face of the icosahedron at a time; a cell on a face's edge is done once for each
face that owns points of it.

Nothing here needs to be exact, only safe: margins are always on the side of *border*, which is then decided exactly.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import covers
from geo.kernel import kernel, maker
from geo.trig import lat_lng
from geo.window import ROUND, ROW, Window, is_away, middle

EMPTY, BORDER, WHOLE, AWAY = 0, 1, 2, 3
"""What a cell of a window may be; AWAY: no point of it belongs to the face."""

MARGIN = 1.0 / 128.0
"""A cell that the border comes nearer than this is *border*. More than a piece may be from the border it stands for
(`entry`), and than all rounding, here and in H3."""

ROUNDING = 1e-6
"""What comes into the hexagon that is MARGIN larger is surely found to touch it."""


@maker
def touch_all(w: Window, ends: FloatArray, bends: FloatArray, count: int, state: IntArray, heads: IntArray) -> IntArray:
    """Mark the cells that pieces come near as BORDER; the pieces of each are linked, in the order of the border.

    `heads[cell]` is the first row of the returned int32[.., 2] of (next row, piece), or -1; so is a next row.
    """
    links, used = np.empty((4 * count + 64, 2), np.int32), 0
    # from the last to the first, each put in front
    for p in range(count - 1, -1, -1):
        x0, y0, x1, y1 = ends[p]
        most = int((abs(x1 - x0) + abs(y1 - y0) + 4.0) * (abs(y1 - y0) + 4.0) * 1.5)
        if used + most > links.shape[0]:
            more = np.empty((2 * (used + most), 2), np.int32)
            more[:used] = links[:used]
            links = more
        used = _touch(w, x0, y0, x1, y1, MARGIN + bends[p] + ROUNDING, p, state, heads, links, used)
    return links


@kernel
def _touch(
    w: Window, ax: float, ay: float, bx: float, by: float, margin: float, piece: int,
    state: IntArray, heads: IntArray, links: IntArray, used: int,
) -> int:  # fmt: skip
    """Mark and link the hexagons that, made larger by `margin` at each side, a piece comes into: no axis parts them."""
    c, s = 0.5, ROW
    dx, dy = bx - ax, by - ay
    size = math.hypot(dx, dy)
    nx, ny = (-dy / size, dx / size) if size > 0.0 else (1.0, 0.0)
    half = 0.5 + margin
    reach = 2.0 * ROUND * half
    support = reach * max(abs(ny), abs(s * nx + c * ny), abs(s * nx - c * ny))
    offset = nx * ax + ny * ay
    a2, b2 = c * ax + s * ay, c * bx + s * by
    low2, high2 = min(a2, b2) - half, max(a2, b2) + half
    a3, b3 = c * ax - s * ay, c * bx - s * by
    low3, high3 = min(a3, b3) - half, max(a3, b3) + half
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / s))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / s))
    for j in range(j_first, j_last + 1):
        y = j * s
        # the stretch of the piece that is level with the row
        t0, t1 = 0.0, 1.0
        if dy != 0.0:
            t0, t1 = (y - reach - ay) / dy, (y + reach - ay) / dy
            t0, t1 = max(0.0, min(t0, t1)), min(1.0, max(t0, t1))
            if t0 > t1:
                continue
        x0, x1 = ax + t0 * dx, ax + t1 * dx
        i_first = max(w.i0, math.ceil(min(x0, x1) - half + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.floor(max(x0, x1) + half + 0.5 * j))
        for i in range(i_first, i_last + 1):
            x = i - 0.5 * j
            m2, m3 = c * x + s * y, c * x - s * y
            if low2 <= m2 <= high2 and low3 <= m3 <= high3 and abs(nx * x + ny * y - offset) <= support:
                cell = (j - w.j0) * w.width + i - w.i0
                state[cell] = BORDER
                links[used, 0], links[used, 1] = heads[cell], piece
                heads[cell] = used
                used += 1
    return used


@kernel
def fill_rows(columns: Columns, f: int, w: Window, state: IntArray) -> None:
    """The stretches of a row between touched cells are wholly in or wholly out.

    Which, is known from any untouched neighbour in the row before; else the middle of one cell is asked for.
    """
    if not w.inland:
        _mark_away(w, state)
    for r in range(w.height):
        row = r * w.width
        start = 0
        while start < w.width:
            if state[row + start] != EMPTY:
                start += 1
                continue
            end = start
            while end < w.width and state[row + end] == EMPTY:
                end += 1
            known = _known_above(w, state, row, start, end) if r > 0 else AWAY
            if known == AWAY:
                lat, lng = lat_lng(*middle(w, w.i0 + start, w.j0 + r))
                known = WHOLE if covers(columns, f, lat, lng) else EMPTY
            if known == WHOLE:
                state[row + start : row + end] = WHOLE
            start = end


@kernel
def _mark_away(w: Window, state: IntArray) -> None:
    for r in range(w.height):
        for k in range(w.width):
            if is_away(w, *middle(w, w.i0 + k, w.j0 + r)):
                state[r * w.width + k] = AWAY


@kernel
def _known_above(w: Window, state: IntArray, row: int, start: int, end: int) -> int:
    """EMPTY or WHOLE if a neighbour of the stretch in the row before is; AWAY if none says."""
    for at in range(row - w.width + max(start - 1, 0), row - w.width + end):
        if state[at] == EMPTY or state[at] == WHOLE:
            return int(state[at])
    return AWAY
