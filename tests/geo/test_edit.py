"""An edited index says what one built anew says, and the one it came from goes on saying what it said."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from geo.arrays import FloatArray, IntArray
from geo.border import Borders
from geo.index import FenceIndex
from geo.shape import Area, Circle, Corridor, Shape
from tests.geo.twin import box, differences_of, hard_points, rows, star


def _fence(rng: np.random.Generator) -> Shape:
    lat, lng = 35.69 + rng.normal(0.0, 0.004), 139.7 + rng.normal(0.0, 0.004)
    match int(rng.integers(0, 8)):
        case 0 | 1 | 2:
            return Circle(lat, lng, rng.uniform(10.0, 400.0))
        case 3:
            return Corridor((np.array([[lng, lat], [lng + 0.002, lat + 0.001]]),), rng.uniform(5.0, 60.0))
        case 4:
            return star(rng, lat, lng, rng.uniform(5_000.0, 400_000.0), 30)
        case _:
            return star(rng, lat, lng, rng.uniform(20.0, 500.0), int(rng.integers(3, 40)), rng.random() < 0.3)


def _points(rng: np.random.Generator, count: int) -> tuple[FloatArray, FloatArray]:
    near = rng.normal(0.0, 0.006, (count, 2))
    far = rng.normal(0.0, 1.5, (count // 4, 2))
    off = np.concatenate([near, far])
    return 35.69 + off[:, 0], 139.7 + off[:, 1]


def _edit(rng: np.random.Generator, shapes: list[Shape]) -> tuple[IntArray, list[Shape], list[Shape]]:
    """(kept, the shapes that are new, all shapes afterwards) of some additions, removals and changes."""
    kept: list[int] = []
    after: list[Shape] = []
    for n, shape in enumerate(shapes):
        fate = rng.random()
        if fate < 0.05:
            continue
        new = fate < 0.1
        kept.append(-1 if new else n)
        after.append(_fence(rng) if new else shape)
        if fate > 0.95:
            kept.append(-1)
            after.append(_fence(rng))
    return np.array(kept), [s for k, s in zip(kept, after, strict=True) if k < 0], after


def _said(index: FenceIndex, points: tuple[FloatArray, FloatArray]) -> list[list[int]]:
    return rows(*index.match(*points))


@pytest.mark.parametrize("seed", range(4))
def test_after_each_of_many_edits_the_answers_are_those_of_a_new_index(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = [_fence(rng) for _ in range(40)]
    index = FenceIndex.build(shapes)
    for _ in range(12):
        kept, new, shapes = _edit(rng, shapes)
        index = index.edited(kept, new)
        points = _points(rng, 2_000)
        assert _said(index, points) == _said(FenceIndex.build(shapes), points)
        fence, lat, lng = rng.integers(0, len(shapes), 60), *(p[:60] for p in points)
        told = index.borders.signed_distance_m(fence, lat, lng)
        assert told.tolist() == Borders.build(shapes).signed_distance_m(fence, lat, lng).tolist()
    plain: list[Shape] = [s for s in shapes if not isinstance(s, Corridor)]
    index = index.edited(np.array([n for n, s in enumerate(shapes) if not isinstance(s, Corridor)]), [])
    assert differences_of(index, plain, *hard_points(rng, plain, 60)) == []


def test_older_versions_and_their_other_descendants_go_on_as_they_are() -> None:
    rng = np.random.default_rng(5)
    shapes = [_fence(rng) for _ in range(60)]
    points = _points(rng, 3_000)
    line = [(FenceIndex.build(shapes), shapes)]
    for _ in range(10):
        index, shapes = line[int(rng.integers(0, len(line)))]
        kept, new, after = _edit(rng, shapes)
        line.append((index.edited(kept, new), after))
    for index, shapes in line:
        assert _said(index, points) == _said(FenceIndex.build(shapes), points)


def test_an_index_is_asked_in_one_thread_while_another_edits_it() -> None:
    rng = np.random.default_rng(6)
    shapes = [_fence(rng) for _ in range(200)]
    index, points = FenceIndex.build(shapes), _points(rng, 5_000)
    said = _said(index, points)
    with ThreadPoolExecutor(1) as pool:
        asked = [pool.submit(_said, index, points) for _ in range(20)]
        newer, after = index, shapes
        for _ in range(20):
            kept, new, after = _edit(rng, after)
            newer = newer.edited(kept, new)
        assert all(one.result() == said for one in asked)
    assert _said(newer, points) == _said(FenceIndex.build(after), points)


def test_from_nothing_and_back_to_nothing() -> None:
    circle = Circle(35.69, 139.7, 50.0)
    point = np.array([35.69]), np.array([139.7])
    none = FenceIndex.build([])
    one = none.edited(np.array([-1]), [circle])
    assert (_said(none, point), _said(one, point)) == ([[]], [[0]])
    back = one.edited(np.empty(0, np.int64), [])
    assert (back.size, _said(back, point), _said(one, point)) == (0, [[]], [[0]])


def test_a_country_comes_into_an_index_of_shops() -> None:
    """It is painted at a resolution that nobody used before."""
    shops: list[Shape] = [Circle(35.69, 139.7 + k * 1e-3, 30.0) for k in range(20)]
    index = FenceIndex.build(shops)
    country = Area(((box(130.0, 30.0, 145.0, 45.0),),))
    edited = index.edited(np.array([0, -1, *range(1, 20)]), [country])
    assert len(edited.resolutions) > len(index.resolutions) == 1
    assert _said(edited, (np.array([35.69, 40.0, 50.0]), np.array([139.701, 140.0, 140.0]))) == [[1, 2], [1], []]


@pytest.mark.parametrize("kept", [[1, 0], [0, 0], [0, 1, -1], [-1]])
def test_what_cannot_be_an_edit_is_refused(kept: list[int]) -> None:
    index = FenceIndex.build([Circle(0.0, 0.0, 50.0), Circle(1.0, 0.0, 50.0)])
    with pytest.raises(ValueError, match="fences that are kept must keep their order"):
        index.edited(np.array(kept), [])


def test_an_index_is_worn_once_edits_have_doubled_it() -> None:
    index = FenceIndex.build([Circle(35.69, 139.7, 50.0)])
    edits = 0
    while not index.is_worn:
        index = index.edited(np.array([-1]), [Circle(35.69, 139.7, 50.0 + edits % 7)])
        edits += 1
        assert edits < 20_000
    assert edits > 500
