"""At which resolution each fence is painted.

Owns that choice, which bears on speed and memory only, never on answers. Must not know how fences are painted. Finer
cells make fewer of them border and so lookups faster; they take memory and time to build. Few resolutions are used at
once, since a point is looked up at each.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.face import UNIT

FINEST = 12
"""Cells of 10 m edges: what smaller ones would save is less than what GPS leaves open."""

COARSEST = 3

STEP = 2
"""Between the resolutions in use: cells differ 49 times in area."""

BYTES_MAX = 600_000_000
"""So much all fences may take together; if more, all get coarser cells."""

BYTES_WHOLE, BYTES_BORDER = 4.0, 75.0
"""What a whole and a border fence of a cell take, its share of the cell's own needs included."""

FENCE_CELLS_MAX = 20_000
"""So many cells a single fence may touch: larger ones get coarser cells."""

FENCE_WINDOW_MAX = 1_000_000
"""So many cells the square round a single fence may have: painting looks at each."""


def resolutions_of(columns: Columns) -> IntArray:
    """int64[n]: the H3 resolution at which each fence is painted: the finest in use that it can afford."""
    out: IntArray = np.full(columns.kind.size, COARSEST)
    for finest in range(FINEST, COARSEST - 1, -1):
        out, size = _affordable(columns, finest)
        if size <= BYTES_MAX:
            break
    return out


def _affordable(columns: Columns, finest: int) -> tuple[IntArray, float]:
    """The resolution of each fence if `finest` is the finest in use, and the bytes that all take."""
    used = range(finest, COARSEST - 1, -STEP)
    out = np.full(columns.kind.size, used[-1])
    total = np.zeros(columns.kind.size)
    for resolution in used[::-1]:
        step = UNIT / math.sqrt(7.0) ** resolution
        whole, border = _cells(columns, step)
        window = (2.0 * columns.cap[:, 3] / step) ** 2
        good = (whole + border <= FENCE_CELLS_MAX) & (window <= FENCE_WINDOW_MAX) | (resolution == used[-1])
        out[good] = resolution
        total[good] = (BYTES_WHOLE * whole + BYTES_BORDER * border)[good]
    return out, float(total.sum())


def _cells(columns: Columns, step: float) -> tuple[FloatArray, FloatArray]:
    """About how many cells each fence covers, and how many its border touches; `step` is from cell to cell."""
    ground, border = columns.extent[:, 0], columns.extent[:, 1]
    return ground / (0.5 * math.sqrt(3.0) * step**2), 1.5 * border / step + 1.0
