"""Our cells are H3's cells, at every resolution, everywhere."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest

from geo.arrays import FloatArray
from geo.cell import cells_of, h3_cell
from geo.face import CORNER, from_plane
from geo.trig import lat_lng
from tests.geo.twin import sphere_points


def _places(rng: np.random.Generator) -> FloatArray:
    """(lat, lng) all over the earth, on edges of faces, and at the 12 pentagons."""
    random = np.stack(sphere_points(rng, 300), axis=1)
    edges = []
    for face in range(20):
        for side in range(3):
            for t in rng.random(4):
                a, b = 2.0 * np.pi * side / 3.0, 2.0 * np.pi * (side + 1) / 3.0
                u = CORNER * ((1 - t) * np.cos(a) + t * np.cos(b))
                v = CORNER * ((1 - t) * np.sin(a) + t * np.sin(b))
                edges.append(lat_lng(*from_plane(face, u, v)))
    pentagons = [h3.cell_to_latlng(c) for c in h3.get_pentagons(0)]
    return np.concatenate([random, np.array(edges), np.repeat(np.array(pentagons), 20, axis=0)])


@pytest.mark.parametrize("resolution", range(16))
def test_on_each_face_our_cells_and_those_of_h3_are_one_to_one(resolution: int) -> None:
    rng = np.random.default_rng(resolution)
    places = np.repeat(_places(rng), 12, axis=0)
    step_deg = 21.0 / np.sqrt(7.0) ** resolution
    lat = np.clip(places[:, 0] + rng.normal(0.0, step_deg, len(places)), -90.0, 90.0)
    lng = places[:, 1] + rng.normal(0.0, step_deg, len(places)) / np.maximum(0.01, np.cos(np.radians(lat)))
    lng = (lng + 180.0) % 360.0 - 180.0
    ours = cells_of(lat, lng, resolution)
    theirs = [h3.latlng_to_cell(y, x, resolution) for y, x in zip(lat, lng, strict=True)]
    to_h3: dict[tuple[int, ...], int] = {}
    to_ours: dict[tuple[int, int], tuple[int, ...]] = {}
    for cell, other in zip(map(tuple, ours.tolist()), theirs, strict=True):
        assert to_h3.setdefault(cell, other) == other
        assert to_ours.setdefault((cell[0], other), cell) == cell
    assert len({cell[0] for cell in to_h3}) == 20


def test_a_cell_is_named_as_h3_names_it() -> None:
    assert h3_cell(35.690921, 139.700258, 9) == h3.int_to_str(h3.latlng_to_cell(35.690921, 139.700258, 9))
