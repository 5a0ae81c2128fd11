"""Which cells a fence touches: the rasteriser.

Owns the classification of cells as *whole* (every point that falls into the cell is in the fence) or *border* (some may
be); all others are empty. Must not know how the index stores them. Works on one fence, one resolution, one face of the
icosahedron at a time, in the face's gnomonic plane: there a cell is a regular hexagon of inradius 1/2, and a cell on a
face's edge is done once for each face that owns points of it.

Nothing here needs to be exact, only safe: margins are always on the side of *border*, which is then decided exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from geo.arrays import FloatArray, IntArray
from geo.columns import AREA, CIRCLE, Columns
from geo.cover import covers
from geo.face import CORNER, FRAMES, cell_centre, from_plane, to_plane, wall_gap
from geo.geodesic import CURVATURE_M_MAX, CURVATURE_M_MIN
from geo.kernel import kernel
from geo.trig import RADIANS, lat_lng, unit_vector

EMPTY, BORDER, WHOLE, AWAY = 0, 1, 2, 3
"""What a cell of a window may be; AWAY: no point of it belongs to the face."""

PIECE_CELLS = 3.0
"""Edges are cut into pieces of at most so many cells, each then taken as straight in the plane."""

TURN_MAX = 0.02
"""And of at most so many radians of longitude: a piece bends away by less than length x turn / 4 (doubled below)."""

MARGIN = 2e-3
"""Cells nearer than this to an edge are *border*: absorbs all rounding, here and in H3."""

ROUND = 1.0 / math.sqrt(3.0)
"""The circumradius of a cell."""


class Window(NamedTuple):
    """The part of one face's lattice that a fence may touch.

    `a, b, c, d` is the lattice; rows are j in [j0, j0 + height), columns i in [i0, i0 + width). `inland` says that
    every cell of the window belongs to the face.
    """

    face: int
    inland: bool
    a: float
    b: float
    c: float
    d: float
    unit: float
    i0: int
    j0: int
    width: int
    height: int


@kernel
def window_of(columns: Columns, f: int, face: int, lattice: FloatArray) -> Window:
    """The window of fence `f` on `face`; its width is 0 if the fence stays clear of the face."""
    a, b, c, d = lattice[0], lattice[1], lattice[2], lattice[3]
    unit = 1.0 / math.sqrt(a * d - b * c)
    cx, cy, cz, reach = columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2], columns.cap[f, 3]
    margin = reach + 4.0 * unit
    gap = wall_gap(face, cx, cy, cz)
    if margin < 1.5 and gap < -math.sin(margin):
        return Window(face, False, a, b, c, d, unit, 0, 0, 0, 0)
    # the face's triangle, a little larger
    u0, v0, u1, v1 = -CORNER, -CORNER, CORNER, CORNER
    m = FRAMES[face]
    away = math.acos(max(-1.0, min(1.0, m[2, 0] * cx + m[2, 1] * cy + m[2, 2] * cz)))
    if away + reach < 1.2:
        # a step on the sphere is at most 1 / cos^2 of it in the plane
        u, v = to_plane(face, cx, cy, cz)
        r = math.tan(away + reach) - math.tan(away)
        u0, v0, u1, v1 = max(u0, u - r), max(v0, v - r), min(u1, u + r), min(v1, v + r)
    i_low, i_high, j_low, j_high = math.inf, -math.inf, math.inf, -math.inf
    for k in range(4):
        u = u0 if k & 1 else u1
        v = v0 if k & 2 else v1
        x, y = a * u + b * v, c * u + d * v
        i, j = x + y * ROUND, y * 2.0 * ROUND
        i_low, i_high, j_low, j_high = min(i_low, i), max(i_high, i), min(j_low, j), max(j_high, j)
    i0, j0 = math.floor(i_low) - 2, math.floor(j_low) - 2
    width, height = math.ceil(i_high) + 3 - i0, math.ceil(j_high) + 3 - j0
    if u0 > u1 or v0 > v1:
        width = 0
    # the window's corners are less than 4 times as far from the cap's centre as its rim
    inland = margin < 0.3 and gap > math.sin(4.0 * margin)
    return Window(face, inland, a, b, c, d, unit, i0, j0, max(0, width), max(0, height))


@kernel
def raster(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Classify the cells of the window: `state` is int8[height * width], row by row; `near` is scratch of that size."""
    size = w.width * w.height
    state[:size] = EMPTY
    if columns.kind[f] == CIRCLE:
        _raster_disc(columns, f, w, state)
    elif columns.kind[f] == AREA:
        _walk_edges(columns, f, w, state, near, 0.0)
        _fill_rows(columns, f, w, state)
    else:
        near[:size] = math.inf
        _walk_edges(columns, f, w, state, near, columns.size_m[f] / CURVATURE_M_MIN)
        _raster_near(columns, f, w, state, near)


@kernel
def _middle(w: Window, i: int, j: int) -> tuple[float, float, float]:
    """The unit vector of a cell's middle."""
    u, v = cell_centre(w.a, w.b, w.c, w.d, i, j)
    return from_plane(w.face, u, v)


@kernel
def _is_away(w: Window, x: float, y: float, z: float) -> bool:
    """True if no point of the cell with this middle can belong to the face."""
    return not w.inland and wall_gap(w.face, x, y, z) <= -w.unit


@kernel
def _walk_edges(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray, buffer: float) -> None:
    """Cut all edges into pieces and mark each in the window."""
    is_area = columns.kind[f] == AREA
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        dx, dy = (x1 - x0) * RADIANS, (y1 - y0) * RADIANS
        low = 0.0 if y0 * y1 < 0.0 else min(abs(y0), abs(y1))
        length = math.hypot(dx * math.cos(low * RADIANS), dy)
        count = 1 + int(max(1.6 * length / (PIECE_CELLS * w.unit), abs(dx) / TURN_MAX))
        wall_margin = 6.0 * w.unit + buffer
        px, py, pz = unit_vector(y0, x0)
        for k in range(1, count + 1):
            t = k / count
            qx, qy, qz = unit_vector(y0 + t * (y1 - y0), x0 + t * (x1 - x0))
            if max(wall_gap(w.face, px, py, pz), wall_gap(w.face, qx, qy, qz)) > -wall_margin:
                margin = MARGIN + 0.5 * abs(dx) / count * min(PIECE_CELLS, 1.6 * length / count / w.unit)
                if is_area:
                    _mark_touched(w, state, px, py, pz, qx, qy, qz, margin)
                else:
                    _mark_near(w, near, px, py, pz, qx, qy, qz, buffer)
            px, py, pz = qx, qy, qz


@kernel
def _in_lattice(w: Window, x: float, y: float, z: float) -> tuple[float, float]:
    """A vector's place in the plane, in steps of the lattice."""
    u, v = to_plane(w.face, x, y, z)
    return w.a * u + w.b * v, w.c * u + w.d * v


@kernel
def _mark_touched(
    w: Window, state: IntArray,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, margin: float,
) -> None:  # fmt: skip
    """Mark the hexagons that the straight piece p-q comes near: none of the axes of hexagon and piece parts them."""
    ax, ay = _in_lattice(w, px, py, pz)
    bx, by = _in_lattice(w, qx, qy, qz)
    c, s = 0.5, 0.5 * math.sqrt(3.0)
    dx, dy = bx - ax, by - ay
    size = math.hypot(dx, dy)
    nx, ny = (-dy / size, dx / size) if size > 0.0 else (1.0, 0.0)
    support = ROUND * max(abs(ny), abs(s * nx + c * ny), abs(s * nx - c * ny)) + margin
    offset = nx * ax + ny * ay
    half = 0.5 + margin
    low1, high1 = min(ax, bx) - half, max(ax, bx) + half
    a2, b2 = c * ax + s * ay, c * bx + s * by
    low2, high2 = min(a2, b2) - half, max(a2, b2) + half
    a3, b3 = c * ax - s * ay, c * bx - s * by
    low3, high3 = min(a3, b3) - half, max(a3, b3) + half
    reach = ROUND + margin
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / s))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / s))
    for j in range(j_first, j_last + 1):
        y = j * s
        i_first = max(w.i0, math.ceil(low1 + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.floor(high1 + 0.5 * j))
        for i in range(i_first, i_last + 1):
            x = i - 0.5 * j
            m2, m3 = c * x + s * y, c * x - s * y
            if low2 <= m2 <= high2 and low3 <= m3 <= high3 and abs(nx * x + ny * y - offset) <= support:
                state[(j - w.j0) * w.width + i - w.i0] = BORDER


@kernel
def _fill_rows(columns: Columns, f: int, w: Window, state: IntArray) -> None:
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
                lat, lng = lat_lng(*_middle(w, w.i0 + start, w.j0 + r))
                known = WHOLE if covers(columns, f, lat, lng) else EMPTY
            if known == WHOLE:
                state[row + start : row + end] = WHOLE
            start = end


@kernel
def _mark_away(w: Window, state: IntArray) -> None:
    for r in range(w.height):
        for k in range(w.width):
            if _is_away(w, *_middle(w, w.i0 + k, w.j0 + r)):
                state[r * w.width + k] = AWAY


@kernel
def _known_above(w: Window, state: IntArray, row: int, start: int, end: int) -> int:
    """EMPTY or WHOLE if a neighbour of the stretch in the row before is; AWAY if none says."""
    for at in range(row - w.width + max(start - 1, 0), row - w.width + end):
        if state[at] == EMPTY or state[at] == WHOLE:
            return int(state[at])
    return AWAY


@kernel
def _chord2(angle: float) -> float:
    """The squared chord of an angle; negative angles have none."""
    half = math.sin(0.5 * min(angle, math.pi))
    return 4.0 * half * half if angle >= 0.0 else -1.0


@kernel
def _raster_disc(columns: Columns, f: int, w: Window, state: IntArray) -> None:
    """A cap on H3's sphere holds the circle, a smaller one is held by it: the ellipsoid is between two spheres."""
    cx, cy, cz = columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2]
    outer, inner = columns.size_m[f] / CURVATURE_M_MIN, columns.size_m[f] / CURVATURE_M_MAX
    cell = ROUND * w.unit * (1.0 + MARGIN)
    touched2, held2, inner2 = _chord2(outer + cell), _chord2(inner - cell), _chord2(inner)
    for r in range(w.height):
        for k in range(w.width):
            x, y, z = _middle(w, w.i0 + k, w.j0 + r)
            d2 = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
            if d2 <= touched2 and not _is_away(w, x, y, z):
                held = d2 <= held2 or (d2 <= inner2 and _corners_within(w, w.i0 + k, w.j0 + r, cx, cy, cz, inner2))
                state[r * w.width + k] = WHOLE if held else BORDER


@kernel
def _corners_within(w: Window, i: int, j: int, cx: float, cy: float, cz: float, reach2: float) -> bool:
    """True if the slightly enlarged cell lies in the cap: caps are convex, so its six corners say so."""
    s = 1.0 / (w.a * w.d - w.b * w.c)
    x0, y0 = i - 0.5 * j, j * (0.5 * math.sqrt(3.0))
    for k in range(6):
        turn = (k + 0.5) * (math.pi / 3.0)
        x = x0 + ROUND * (1.0 + MARGIN) * math.cos(turn)
        y = y0 + ROUND * (1.0 + MARGIN) * math.sin(turn)
        px, py, pz = from_plane(w.face, (w.d * x - w.b * y) * s, (w.a * y - w.c * x) * s)
        if (px - cx) ** 2 + (py - cy) ** 2 + (pz - cz) ** 2 > reach2:
            return False
    return True


@kernel
def _mark_near(
    w: Window, near: FloatArray,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, buffer: float,
) -> None:  # fmt: skip
    """Keep for each cell of the window the least squared distance, on the sphere of 1, to a piece of the line."""
    ax, ay = _in_lattice(w, px, py, pz)
    bx, by = _in_lattice(w, qx, qy, qz)
    u, v = to_plane(w.face, px, py, pz)
    away = math.atan(math.hypot(u, v)) + PIECE_CELLS * w.unit
    reach = (math.tan(min(1.4, away + buffer)) - math.tan(min(1.3, away))) / w.unit + 2.0
    s = 0.5 * math.sqrt(3.0)
    dx, dy, dz = qx - px, qy - py, qz - pz
    size2 = dx * dx + dy * dy + dz * dz
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / s))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / s))
    for j in range(j_first, j_last + 1):
        i_first = max(w.i0, math.floor(min(ax, bx) - reach + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.ceil(max(ax, bx) + reach + 0.5 * j))
        for i in range(i_first, i_last + 1):
            u, v = cell_centre(w.a, w.b, w.c, w.d, i, j)
            x, y, z = from_plane(w.face, u, v)
            t = 0.0
            if size2 > 0.0:
                t = min(1.0, max(0.0, ((x - px) * dx + (y - py) * dy + (z - pz) * dz) / size2))
            at = (j - w.j0) * w.width + i - w.i0
            d2 = (px + t * dx - x) ** 2 + (py + t * dy - y) ** 2 + (pz + t * dz - z) ** 2
            near[at] = min(near[at], d2)


@kernel
def _raster_near(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Cells within the buffer of the line: the two spheres of `_raster_disc`, the cell's extent, a piece's bend."""
    outer, inner = columns.size_m[f] / CURVATURE_M_MIN, columns.size_m[f] / CURVATURE_M_MAX
    cell = (ROUND + 0.5 * PIECE_CELLS * TURN_MAX + PIECE_CELLS * PIECE_CELLS * w.unit + MARGIN) * w.unit
    touched2, held2 = _chord2(outer + cell), _chord2(inner - cell)
    for r in range(w.height):
        for k in range(w.width):
            at = r * w.width + k
            if near[at] <= touched2 and not _is_away(w, *_middle(w, w.i0 + k, w.j0 + r)):
                state[at] = WHOLE if near[at] <= held2 else BORDER
