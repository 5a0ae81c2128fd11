"""What a cell's record rests on: its box holds all of its points, and kernels are stamped with all sources."""

from __future__ import annotations

import numpy as np
import pytest

import geo.kernel
from geo.cell import cells_of
from geo.face import lattice
from geo.lookup import match
from geo.record import LAT_MAX, _cell_box
from tests.geo.twin import sphere_points


@pytest.mark.parametrize("resolution", [3, 4, 5, 7, 10, 12])
def test_the_box_of_a_cell_holds_every_point_that_falls_into_it(resolution: int) -> None:
    rng = np.random.default_rng(resolution)
    lat, lng = sphere_points(rng, 20_000)
    boxes, inside = 0, 0
    for (face, i, j), y, x in zip(cells_of(lat, lng, resolution).tolist(), lat, lng, strict=True):
        box = np.empty(4)
        _cell_box(lattice(resolution), face, i, j, box)
        if np.isnan(box[0]):
            assert abs(y) > LAT_MAX - 2.0 or abs(x) > 175.0
            continue
        boxes += 1
        inside += bool(box[0] < y < box[1] and box[2] < x < box[3])
    assert inside == boxes
    assert boxes > 15_000


def test_a_cached_kernel_is_stale_when_any_source_changed() -> None:
    """Once a predicate was changed, and the index went on with the old one, out of the cache of an unchanged file."""
    file = match._cache._cache_file  # type: ignore[attr-defined]
    assert file._source_stamp == geo.kernel.STAMP == geo.kernel._stamp_of_sources()
