"""The index as an object: empty, small, its progress, its odd inputs."""

from __future__ import annotations

import numpy as np
import pytest

from geo import levels
from geo.index import FenceIndex
from geo.shape import Circle, Shape
from geo.warm import is_warm, warm
from tests.geo.twin import rows, star


def test_an_index_of_no_fences_matches_nothing() -> None:
    index = FenceIndex.build([])
    offsets, fences = index.match(np.array([35.69, 0.0]), np.array([139.7, 0.0]))
    assert (index.size, offsets.tolist(), fences.tolist()) == (0, [0, 0, 0], [])
    assert (offsets.dtype, fences.dtype) == (np.dtype(np.int64), np.dtype(np.int32))


def test_no_points_have_no_fences() -> None:
    offsets, fences = FenceIndex.build([Circle(0.0, 0.0, 10.0)]).match(np.empty(0), np.empty(0))
    assert (offsets.tolist(), fences.tolist()) == ([0], [])


def test_a_thousand_fences_over_one_point_come_in_order() -> None:
    shapes: list[Shape] = [Circle(35.69, 139.7, 30.0 + 7.0 * (k * 37 % 1_000)) for k in range(1_000)]
    index = FenceIndex.build(shapes)
    assert len(index.resolutions) > 1
    found = rows(*index.match(np.array([35.69, 35.69, 0.0]), np.array([139.7, 139.7, 0.0])))
    assert found == [list(range(1_000)), list(range(1_000)), []]


def test_a_batch_says_what_its_points_say_one_by_one() -> None:
    rng = np.random.default_rng(1)
    shapes: list[Shape] = [star(rng, 35.69, 139.7 + k * 1e-3, 400.0, 9) for k in range(50)]
    shapes += [Circle(35.69, 139.7 + k * 1e-3, 90.0) for k in range(50)]
    index = FenceIndex.build(shapes)
    lat, lng = 35.69 + rng.normal(0.0, 0.004, 3_000), 139.72 + rng.normal(0.0, 0.02, 3_000)
    batch = rows(*index.match(lat, lng))
    assert batch == [rows(*index.match(lat[k : k + 1], lng[k : k + 1]))[0] for k in range(3_000)]


def test_answers_do_not_rest_on_the_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, found = np.random.default_rng(12), []
    shapes = [star(np.random.default_rng(n), 35.69 + 0.001 * n, 139.7, 300.0, 400) for n in range(20)]
    lat, lng = 35.685 + 0.03 * rng.random(50_000), 139.695 + 0.01 * rng.random(50_000)
    for finest in (9, 10, 11, 12):
        monkeypatch.setattr(levels, "FINEST", finest)
        index = FenceIndex.build(shapes)
        assert index.resolutions == (finest,)
        found.append(index.match(lat, lng))
    assert all(np.array_equal(a, b) for one in found[1:] for a, b in zip(found[0], one, strict=True))


def test_the_order_of_fences_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    shapes: list[Shape] = [star(rng, 35.69, 139.7 + k * 1e-3, 200.0 + 90.0 * k, 9) for k in range(40)]
    order = rng.permutation(40)
    lat, lng = 35.69 + rng.normal(0.0, 0.01, 2_000), 139.72 + rng.normal(0.0, 0.02, 2_000)
    plain = rows(*FenceIndex.build(shapes).match(lat, lng))
    mixed = rows(*FenceIndex.build([shapes[k] for k in order]).match(lat, lng))
    assert [sorted(int(order[k]) for k in row) for row in mixed] == plain


def test_progress_ends_with_all_fences() -> None:
    told: list[tuple[int, int]] = []
    shapes: list[Shape] = [Circle(0.0, k * 0.01, 100.0 if k % 2 else 9_000.0) for k in range(700)]
    FenceIndex.build(shapes, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (700, 700)
    assert told == sorted(told)


def test_columns_that_are_not_in_one_piece_are_read_right() -> None:
    index = FenceIndex.build([Circle(35.69, 139.7, 50.0)])
    pairs = np.array([[35.69, 139.7], [36.0, 139.7], [35.69, 139.7]])
    assert rows(*index.match(pairs[:, 0], pairs[:, 1])) == [[0], [], [0]]
    assert rows(*index.match(pairs[::-1, 0], pairs[::-1, 1])) == [[0], [], [0]]


@pytest.mark.parametrize("lat", [90.0, -90.0, 0.0, -0.0])
@pytest.mark.parametrize("lng", [180.0, -180.0, 0.0, -0.0])
def test_the_ends_of_the_scales_are_points_like_others(lat: float, lng: float) -> None:
    index = FenceIndex.build([Circle(lat, lng, 50.0), Circle(10.0, 10.0, 50.0)])
    assert rows(*index.match(np.array([lat, lat, 10.0]), np.array([lng, -lng, 10.0])))[::2] == [[0], [1]]


def test_warming_names_each_step_and_leaves_nothing_to_compile() -> None:
    told: list[tuple[str, int, int]] = []
    warm(lambda name, done, total: told.append((name, done, total)))
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert told[-1] == ("done", len(told) - 1, len(told) - 1)
    assert is_warm()


def test_the_index_hands_out_the_borders_of_its_fences() -> None:
    index = FenceIndex.build([Circle(35.69, 139.7, 50.0), Circle(35.69, 139.7, 80.0)])
    found = index.borders.signed_distance_m(np.array([0, 1]), np.array([35.69, 35.69]), np.array([139.7, 139.7]))
    assert found.tolist() == [-50.0, -80.0]
