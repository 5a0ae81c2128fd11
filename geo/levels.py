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

BYTES_MAX = 1_200_000_000
"""So much all fences may take together; if more, all get coarser cells."""

BYTES_WHOLE, BYTES_BORDER, BYTES_EDGE = 1.0, 44.0, 8.0
"""What a whole and a border fence of a cell take, its share of the cell's own needs included, and an edge in a cell."""

FENCE_CELLS_MAX = 20_000
"""So many cells a single fence may touch: larger ones get coarser cells."""

FENCE_WINDOW_MAX = 1_000_000
"""So many cells the square round a single fence may have: painting looks at each."""


def finest_of(columns: Columns, fences: int) -> tuple[int, int]:
    """The finest resolution at which the first `fences` can be painted within BYTES_MAX, and the bytes they take."""
    finest = FINEST
    while (size := _affordable(columns, 0, fences, finest)[1]) > BYTES_MAX and finest > COARSEST:
        finest -= 1
    return finest, int(size)


def resolutions_of(columns: Columns, first: int, last: int, finest: int) -> IntArray:
    """int64[last - first]: the H3 resolution of each fence: the finest in use that it can afford."""
    return _affordable(columns, first, last, finest)[0]


def cells_of(columns: Columns, first: int, last: int, resolutions: IntArray) -> FloatArray:
    """About how many cells each fence touches at its resolution."""
    whole, touched, _ = _cells(columns, first, last, np.asarray(UNIT / math.sqrt(7.0) ** resolutions, np.float64))
    return whole + touched


def _affordable(columns: Columns, first: int, last: int, finest: int) -> tuple[IntArray, float]:
    """The resolution of each fence if `finest` is the finest in use, and the bytes that all take."""
    used = range(finest, COARSEST - 1, -STEP)
    edges = columns.span[first:last, 2] - columns.span[first:last, 0]
    out = np.full(last - first, used[-1])
    total = np.zeros(last - first)
    for resolution in used[::-1]:
        whole, touched, crossed = _cells(columns, first, last, UNIT / math.sqrt(7.0) ** resolution)
        window = _window(columns, first, last, UNIT / math.sqrt(7.0) ** resolution)
        good = (whole + touched <= FENCE_CELLS_MAX) & (window <= FENCE_WINDOW_MAX) | (resolution == used[-1])
        out[good] = resolution
        total[good] = (BYTES_WHOLE * whole + BYTES_BORDER * touched + BYTES_EDGE * (crossed + edges))[good]
    return out, float(total.sum())


def _cells(
    columns: Columns, first: int, last: int, step: float | FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """About how many cells each fence covers, how many its border touches, and how often it goes from one to another.

    `step` is from cell to cell. A border that turns often is longer than the cells it touches.
    """
    ground, border = columns.extent[first:last].T
    crossed = 1.5 * border / step + 1.0
    return (
        ground / (0.5 * math.sqrt(3.0) * step**2),
        np.minimum(crossed, _window(columns, first, last, step) + 1.0),
        crossed,
    )


def _window(columns: Columns, first: int, last: int, step: float | FloatArray) -> FloatArray:
    """About how many cells the square round each fence has."""
    return np.asarray((2.0 * columns.cap[first:last, 3] / step) ** 2)
