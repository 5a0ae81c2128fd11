"""The cell of a point: our kernel beside the h3 library, on the same points, at resolution 11."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import numpy as np

from benchmarks.bench import Bench, Size, side
from benchmarks.city import city
from geo.cell import cells_of

if TYPE_CHECKING:
    from contextlib import ExitStack

RESOLUTION = 11


def bench(size: Size, keep: ExitStack) -> Bench:
    """Points of the city. The two name cells differently: compared is which points share one."""
    world = city(size.fences)
    lat, lng = world.points(size.points)

    def ours() -> Any:
        return cells_of(lat, lng, RESOLUTION)

    def theirs() -> Any:
        return np.fromiter(map(h3.latlng_to_cell, lat, lng, repeat(RESOLUTION)), np.int64, len(lat))

    return Bench(
        "cells", "H3 cell of a point", "points", world.said,
        side("nearcast", len(lat), ours, _together),
        (side("h3-py", len(lat), theirs, _together, "h3.api.basic_int.latlng_to_cell, point by point"),),
    )  # fmt: skip


def _together(cells: Any) -> Any:
    """For each point, the first point of its cell."""
    _, first, which = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first[which]
