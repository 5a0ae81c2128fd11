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

ENTRIES_MAX = 20_000_000
"""So many (cell, fence) pairs all fences may make together, about 250 MB; if more, all get coarser cells."""

FENCE_ENTRIES_MAX = 20_000
"""So many a single fence may make: larger ones get coarser cells."""

FENCE_WINDOW_MAX = 1_000_000
"""So many cells the square round a single fence may have: painting looks at each."""


def resolutions_of(columns: Columns) -> IntArray:
    """int64[n]: the H3 resolution at which each fence is painted: the finest in use that it can afford."""
    finest = COARSEST
    out = np.full(columns.kind.size, finest)
    for start in range(FINEST, COARSEST - 1, -1):
        finest = start
        out, entries = _affordable(columns, finest)
        if entries <= ENTRIES_MAX:
            break
    return out


def _affordable(columns: Columns, finest: int) -> tuple[IntArray, float]:
    """The resolution of each fence if `finest` is the finest in use, and the entries they make in all."""
    used = range(finest, COARSEST - 1, -STEP)
    out = np.full(columns.kind.size, used[-1])
    total = entries_at(columns, used[-1])
    for resolution in used[::-1]:
        entries = entries_at(columns, resolution)
        window = (2.0 * columns.cap[:, 3] / step_of(resolution)) ** 2
        good = (entries <= FENCE_ENTRIES_MAX) & (window <= FENCE_WINDOW_MAX)
        out[good] = resolution
        total[good] = entries[good]
    return out, float(total.sum())


def step_of(resolution: int) -> float:
    """The distance between neighbouring cells, in the plane of the unit sphere."""
    return UNIT / math.sqrt(7.0) ** resolution


def entries_at(columns: Columns, resolution: int) -> FloatArray:
    """float64[n]: about how many cells each fence touches."""
    step = step_of(resolution)
    ground, border = columns.extent[:, 0], columns.extent[:, 1]
    return ground / (0.5 * math.sqrt(3.0) * step**2) + 1.5 * border / step + 1.0
