"""An index and its shapes that went through plain arrays are what they were, and can be edited as before."""

from __future__ import annotations

import numpy as np
import pytest

from geo.index import FenceIndex
from geo.kept import arrays_of_index, arrays_of_shapes, index_of, shapes_of
from geo.shape import Area, Circle, Corridor, Shape, same_shape
from tests.geo.twin import box, differences_of, hard_points, rows, star


def _shapes(rng: np.random.Generator) -> list[Shape]:
    shapes: list[Shape] = []
    for n in range(60):
        lat, lng = 35.69 + rng.normal(0.0, 0.004), 139.7 + rng.normal(0.0, 0.004)
        if n % 5 == 0:
            shapes.append(Circle(lat, lng, rng.uniform(10.0, 400.0)))
        elif n % 5 == 1:
            lines = tuple(np.array([[lng, lat + k], [lng + 0.002, lat + k + 0.001]]) for k in (0.0, 0.002))
            shapes.append(Corridor(lines[: 1 + n % 2], rng.uniform(5.0, 60.0)))
        else:
            shapes.append(star(rng, lat, lng, rng.uniform(20.0, 9_000.0), int(rng.integers(3, 40)), n % 2 == 0))
    # an area of two parts, cut at the antimeridian: its border there is none
    shapes.append(Area(((box(179.0, 10.0, 180.0, 11.0),), (box(-180.0, 10.0, -179.0, 11.0),))))
    return shapes


def _around(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    off = rng.normal(0.0, 0.006, (5_000, 2))
    return np.append(35.69 + off[:, 0], [10.5, 10.5, 10.0]), np.append(139.7 + off[:, 1], [180.0, -180.0, -180.0])


@pytest.mark.parametrize("seed", range(3))
def test_shapes_come_back_to_the_last_bit(seed: int) -> None:
    shapes = _shapes(np.random.default_rng(seed))
    found = shapes_of(arrays_of_shapes(shapes))
    assert len(found) == len(shapes)
    assert all(same_shape(a, b) for a, b in zip(shapes, found, strict=True))


@pytest.mark.parametrize("edits", [0, 1, 5])
def test_an_index_comes_back_and_is_edited_as_the_one_that_went(edits: int) -> None:
    rng = np.random.default_rng(edits)
    shapes = _shapes(rng)
    index = FenceIndex.build(shapes)
    for n in range(edits):
        kept = np.arange(len(shapes))
        kept[n] = -1
        shapes = [*shapes[:n], Circle(35.69, 139.7, 50.0 + n), *shapes[n + 1 :]]
        index = index.edited(kept, [shapes[n]])
    found = index_of(arrays_of_index(index))
    points = _around(rng)
    assert rows(*found.match(*points)) == rows(*index.match(*points))
    assert not differences_of(found, shapes, *hard_points(rng, shapes, 30))
    assert (found.size, found.resolutions, found.is_worn) == (index.size, index.resolutions, index.is_worn)
    fences = rng.integers(0, len(shapes), len(points[0])).astype(np.int32)
    assert (
        found.borders.signed_distance_m(fences, *points).tolist()
        == index.borders.signed_distance_m(fences, *points).tolist()
    )
    before = rows(*found.match(*points))
    kept, new = np.append(np.arange(1, len(shapes)), -1), star(rng, 35.691, 139.701, 300.0, 12)
    assert rows(*found.edited(kept, [new]).match(*points)) == rows(*index.edited(kept, [new]).match(*points))
    assert not differences_of(found.edited(kept, [new]), [*shapes[1:], new], *hard_points(rng, shapes, 15))
    assert rows(*found.match(*points)) == before, "an edit changed the index that it came from"


def test_no_fences_at_all_come_back_too() -> None:
    assert shapes_of(arrays_of_shapes([])) == []
    found = index_of(arrays_of_index(FenceIndex.build([])))
    assert rows(*found.match(np.array([35.69]), np.array([139.7]))) == [[]]
