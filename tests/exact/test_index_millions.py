"""Batch, one by one and brute force agree bit for bit: a million (point, fence) comparisons, fifty in the long form.

Each world is asked at the points that are hard in it: all corners, points on edges, each also rounded to 1e-7 degrees
and one rounding away in all directions, points on the borders of H3 cells; then at random ones. Brute force is GEOS for
areas and PROJ for circles.
"""

from __future__ import annotations

import h3
import numpy as np
import pytest

from geo import levels
from geo.arrays import FloatArray
from geo.face import CORNER, from_plane
from geo.index import FenceIndex
from geo.shape import Area, Circle, Shape
from geo.trig import lat_lng
from tests.geo.twin import box, differences_of, hard_points, rows, sphere_points, star

Points = tuple[FloatArray, FloatArray]


def _places(rng: np.random.Generator) -> list[tuple[float, float]]:
    """Cities; a corner of a face, which is a pentagon; edges of faces; near a pole; beside the antimeridian."""
    face, turn = int(rng.integers(0, 20)), 2.0 * np.pi / 3.0 * int(rng.integers(0, 3))
    corner = lat_lng(*from_plane(face, CORNER * np.cos(turn), CORNER * np.sin(turn)))
    edge = lat_lng(*from_plane(face, -0.5 * CORNER * np.cos(turn), -0.5 * CORNER * np.sin(turn)))
    return [(35.69, 139.7), (51.48, 0.0), (0.0, 0.0), (-16.5, 179.96), (84.9, 12.0), corner, edge]


def _world(rng: np.random.Generator, lat: float, lng: float) -> list[Shape]:
    """Fences from one smaller than a cell to a country, slivers, holes, holes that touch the ring, a cut one."""
    m = 1.0 / 111_195.0
    shapes: list[Shape] = []
    for size_m in (0.5, 8.0, 40.0, 200.0, 900.0, 30_000.0, 600_000.0):
        y, x = lat + rng.normal(0.0, 0.004), lng + rng.normal(0.0, 0.004)
        for corners in (3, 17, 200):
            if abs(lat) + size_m * m < 85.0 and abs(lng) + 3.0 * size_m * m / np.cos(np.radians(lat)) < 180.0:
                shapes.append(star(rng, y, x, size_m / 1.3, corners, hole=corners == 17))
        shapes += [Circle(y, x, size_m), Circle(y + size_m * m, x, size_m * rng.uniform(0.5, 1.5))]
    ring = box(lng, lat, lng + 900 * m, lat + 900 * m)
    touching = np.array([[lng, lat + 400 * m], [lng + 300 * m, lat + 300 * m], [lng + 300 * m, lat + 500 * m]])
    shapes.append(Area(((ring, np.vstack([touching, touching[:1]])),)))
    sliver = np.array([[lng, lat], [lng + 9e-3, lat + 1e-7], [lng + 9e-3, lat + 2e-7], [lng, lat]])
    shapes.append(Area(((sliver,),)))
    if lng > 179.0:
        shapes.append(Area(((box(179.5, -17.0, 180.0, -16.0),), (box(-180.0, -17.0, -179.5, -16.0),))))
    return shapes


def _points(rng: np.random.Generator, shapes: list[Shape], lat: float, lng: float, many: int) -> Points:
    hard = hard_points(rng, shapes, many)
    spread = 10.0 ** rng.uniform(-4.5, 0.5, (2, 4 * many))
    y, x = lat + rng.normal(0.0, 1.0, 4 * many) * spread[0], lng + rng.normal(0.0, 1.0, 4 * many) * spread[1]
    near = np.clip(y, -90.0, 90.0), (x + 180.0) % 360.0 - 180.0
    cells = [
        np.array(h3.cell_to_boundary(h3.latlng_to_cell(a, b, int(r))))
        for a, b, r in zip(near[0][:many], near[1][:many], rng.integers(5, 13, many), strict=True)
    ]
    corners = np.concatenate([c + t * (np.roll(c, 1, axis=0) - c) for c in cells for t in (0.0, 0.5)])
    corners[:, 1] = (corners[:, 1] + 180.0) % 360.0 - 180.0
    far = sphere_points(rng, many)
    return (
        np.concatenate([hard[0], near[0], corners[:, 0], far[0]]),
        np.concatenate([hard[1], near[1], corners[:, 1], far[1]]),
    )


def _compare(seed: int, many: int) -> int:
    """Compare in all worlds of a seed; returns how many (point, fence) pairs were compared."""
    rng = np.random.default_rng(seed)
    compared = 0
    for lat, lng in _places(rng):
        shapes = _world(rng, lat, lng)
        points = _points(rng, shapes, lat, lng, many)
        index = FenceIndex.build(shapes)
        assert differences_of(index, shapes, *points) == [], f"seed {seed} at {lat}, {lng}"
        some = rng.integers(0, points[0].size, 300)
        batch = rows(*index.match(points[0][some], points[1][some]))
        assert batch == [rows(*index.match(points[0][k : k + 1], points[1][k : k + 1]))[0] for k in some]
        compared += points[0].size * len(shapes)
    return compared


def test_a_million_comparisons_at_hard_points_all_over_the_world() -> None:
    assert _compare(0, 130) > 1_000_000


@pytest.mark.long
def test_fifty_million_comparisons_at_hard_points_all_over_the_world() -> None:
    compared, seed = 0, 1
    while compared < 50_000_000:
        compared += _compare(seed, 400)
        seed += 1
    assert seed > 5


@pytest.mark.parametrize("finest", [8, 9, 10, 11, 12])
def test_borders_of_a_thousand_spikes_at_every_fineness(finest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders that enter and leave cells in all ways: also through their very corners."""
    monkeypatch.setattr(levels, "FINEST", finest)
    rng = np.random.default_rng(finest)
    shapes: list[Shape] = [star(rng, 35.69, 139.7 + 0.001 * n, 200.0, 1_000) for n in range(40)]
    index = FenceIndex.build(shapes)
    assert index.resolutions[0] == finest
    lat, lng = 35.69 + rng.uniform(-0.002, 0.002, 30_000), 139.7 + rng.uniform(-0.003, 0.042, 30_000)
    assert differences_of(index, shapes, lat, lng) == []
