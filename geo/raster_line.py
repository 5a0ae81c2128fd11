"""Which cells a corridor touches: the rasteriser of lines with a buffer.

Owns the classification of its cells. Must not know areas and circles: see `raster`, whose words these are.
"""

from __future__ import annotations

import math

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.face import wall_gap
from geo.geodesic import CURVATURE_M_MAX, CURVATURE_M_MIN
from geo.kernel import kernel
from geo.raster import BORDER, WHOLE
from geo.trig import RADIANS, unit_vector
from geo.window import ROUND, ROW, Window, in_lattice, is_away, middle

PIECE_CELLS = 3.0
"""Lines are cut into pieces of at most so many cells, each then taken as straight."""

TURN_MAX = 0.02
"""And of at most so many radians of longitude: a piece bends away by less than length x turn / 4."""

MARGIN = 2e-3


@kernel
def raster_line(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Classify the cells of the window, all EMPTY before; `near` is scratch, all infinite before."""
    buffer = columns.size_m[f] / CURVATURE_M_MIN
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
                _mark_near(w, near, px, py, pz, qx, qy, qz, buffer)
            px, py, pz = qx, qy, qz
    _classify(columns, f, w, state, near)


@kernel
def _mark_near(
    w: Window, near: FloatArray,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, buffer: float,
) -> None:  # fmt: skip
    """Keep for each cell of the window the least squared distance, on the sphere of 1, to a piece of the line."""
    ax, ay = in_lattice(w, px, py, pz)
    bx, by = in_lattice(w, qx, qy, qz)
    # how far the piece is from the face's middle, at most
    away = math.atan(math.hypot(ax, ay) * w.unit) + PIECE_CELLS * w.unit
    reach = (math.tan(min(1.4, away + buffer)) - math.tan(min(1.3, away))) / w.unit + 2.0
    dx, dy, dz = qx - px, qy - py, qz - pz
    size2 = dx * dx + dy * dy + dz * dz
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / ROW))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / ROW))
    for j in range(j_first, j_last + 1):
        i_first = max(w.i0, math.floor(min(ax, bx) - reach + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.ceil(max(ax, bx) + reach + 0.5 * j))
        for i in range(i_first, i_last + 1):
            x, y, z = middle(w, i, j)
            t = 0.0
            if size2 > 0.0:
                t = min(1.0, max(0.0, ((x - px) * dx + (y - py) * dy + (z - pz) * dz) / size2))
            at = (j - w.j0) * w.width + i - w.i0
            d2 = (px + t * dx - x) ** 2 + (py + t * dy - y) ** 2 + (pz + t * dz - z) ** 2
            near[at] = min(near[at], d2)


@kernel
def _classify(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Cells within the buffer of the line. The ellipsoid is between two spheres; a cell and a piece have an extent."""
    outer, inner = columns.size_m[f] / CURVATURE_M_MIN, columns.size_m[f] / CURVATURE_M_MAX
    cell = (ROUND + 0.5 * PIECE_CELLS * TURN_MAX + PIECE_CELLS * PIECE_CELLS * w.unit + MARGIN) * w.unit
    touched2, held2 = _chord2(outer + cell), _chord2(inner - cell)
    for r in range(w.height):
        for k in range(w.width):
            at = r * w.width + k
            if near[at] <= touched2 and not is_away(w, *middle(w, w.i0 + k, w.j0 + r)):
                state[at] = WHOLE if near[at] <= held2 else BORDER


@kernel
def _chord2(angle: float) -> float:
    """The squared chord of an angle; negative angles have none."""
    half = math.sin(0.5 * min(angle, math.pi))
    return 4.0 * half * half if angle >= 0.0 else -1.0
