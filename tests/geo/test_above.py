"""What tiles know of coarser cells: the answers are the same, and few points have to look there."""

from __future__ import annotations

import numpy as np
import pytest

from geo.face import FRAMES
from geo.index import FenceIndex
from geo.lookup import OPEN
from geo.shape import Circle, Shape
from geo.tiles import FREE, above_of, tile_place
from geo.trig import lat_lng
from tests.geo.twin import differences_of, hard_points, star


def _known(index: FenceIndex) -> dict[int, float]:
    """By resolution, the share of tiles that know what coarser cells say."""
    table = index.version.cells.table
    keys, values = table[::2], table[1::2]
    found: dict[int, list[bool]] = {}
    for key, value in zip(keys[keys != FREE].tolist(), values[keys != FREE].tolist(), strict=True):
        found.setdefault(tile_place(key)[0], []).append(above_of(value) != OPEN)
    return {resolution: sum(known) / len(known) for resolution, known in found.items()}


def _stores(lat: float, lng: float) -> list[Shape]:
    return [Circle(lat + 0.004 * (n // 10), lng + 0.005 * (n % 10), 40.0) for n in range(100)]


def test_tiles_know_of_the_country_that_they_are_in_but_not_at_its_border() -> None:
    inside = FenceIndex.build([Circle(35.7, 139.7, 300_000.0), *_stores(35.69, 139.7)])
    assert len(inside.resolutions) == 2
    assert _known(inside) == dict.fromkeys(inside.resolutions, 1.0)
    # stores astride the rim
    astride = FenceIndex.build([Circle(35.7 + 2.702, 139.7, 300_000.0), *_stores(35.69, 139.7)])
    assert astride.resolutions == inside.resolutions
    finest, coarsest = astride.resolutions
    assert _known(astride)[finest] < 0.5
    assert _known(astride)[coarsest] == 1.0


def test_fences_of_all_sizes_come_in_the_order_of_their_numbers() -> None:
    rng = np.random.default_rng(2)
    sizes = (300_000.0, 30.0, 6_000.0, 40.0, 200_000.0, 9_000.0, 35.0)
    shapes: list[Shape] = [Circle(35.7, 139.7, size_m) for size_m in sizes]
    shapes += [star(rng, 35.7, 139.7, size_m, 24) for size_m in sizes]
    index = FenceIndex.build(shapes)
    assert len(index.resolutions) == 3
    offsets, fences = index.match(np.full(1, 35.7), np.full(1, 139.7))
    assert fences.tolist() == list(range(14)) == list(range(offsets[1]))
    assert differences_of(index, shapes, *hard_points(rng, shapes, 40)) == []


@pytest.mark.parametrize("face", [0, 3, 11])
def test_small_fences_in_large_ones_where_faces_meet(face: int) -> None:
    """Cells of one place have other numbers on the face beyond, and other cells above them."""
    rng = np.random.default_rng(face)
    near = FRAMES[face, 2] + FRAMES[np.argsort(-(FRAMES[:, 2] @ FRAMES[face, 2]))[1], 2]
    lat, lng = lat_lng(*(near / np.linalg.norm(near)))
    shapes: list[Shape] = [star(rng, lat, lng, 3e5, 40), star(rng, lat, lng, 2e4, 90), star(rng, lat, lng, 5e3, 90)]
    shapes += [
        Circle(lat + rng.normal(0.0, 0.02), lng + rng.normal(0.0, 0.02), rng.uniform(20.0, 300.0)) for _ in range(150)
    ]
    index = FenceIndex.build(shapes)
    assert len(index.resolutions) >= 3
    assert differences_of(index, shapes, *hard_points(rng, shapes, 30)) == []


def test_an_edit_of_a_large_fence_is_known_to_the_tiles_under_it() -> None:
    rng, stores = np.random.default_rng(4), _stores(35.69, 139.7)
    index = FenceIndex.build([Circle(35.7, 139.7, 300_000.0), *stores])
    lat, lng = 35.68 + 0.06 * rng.random(3_000), 139.69 + 0.07 * rng.random(3_000)
    before = index.match(lat, lng)
    rest = np.arange(1, 101)
    for large in ([], [star(rng, 35.71, 139.72, 8_000.0, 60)], [Circle(35.7, 139.7, 400_000.0)]):
        edited = index.edited(np.concatenate([np.full(len(large), -1), rest]), large)
        anew = FenceIndex.build([*large, *stores])
        assert all(np.array_equal(a, b) for a, b in zip(edited.match(lat, lng), anew.match(lat, lng), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(index.match(lat, lng), before, strict=True))
