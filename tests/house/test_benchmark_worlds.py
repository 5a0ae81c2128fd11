"""The worlds that speed is measured in are what they are said to be. Tiny sizes, and no times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from benchmarks import scaling
from benchmarks.city import city, stars
from benchmarks.curves import STARS_A_POINT
from geo.index import FenceIndex
from geo.shape import Area, Circle


def fences_a_point(shapes: Any, lat: Any, lng: Any) -> float:
    return float(FenceIndex.build(shapes).match(lat, lng)[0][-1]) / len(lat)


def corners_of(shape: Any) -> int:
    return sum(len(ring) - 1 for polygon in shape.polygons for ring in polygon)


def ring_of(shape: Area) -> Any:
    return shapely.Polygon(shape.polygons[0][0], shape.polygons[0][1:])


@pytest.mark.parametrize("count", [500, 2_000])
def test_the_even_city_has_about_as_many_fences_a_point_however_large_it_is(count: int) -> None:
    asked = scaling.points(scaling.side_m(count), 20_000)
    assert fences_a_point(scaling.even_city(count), *asked) == pytest.approx(4.6, rel=0.15)


@pytest.mark.parametrize("spiky", [False, True])
@pytest.mark.parametrize("corners", [8, 64, 300])
def test_fences_of_more_corners_stand_at_the_same_places_with_about_the_same_ground(corners: int, spiky: bool) -> None:
    few, many = (scaling.cornered_city(60, n, spiky=spiky) for n in (64, corners))
    assert all(corners_of(shape) == corners for shape in many)
    ground = [[ring_of(shape).area for shape in shapes] for shapes in (few, many)]
    assert sum(ground[1]) == pytest.approx(sum(ground[0]), rel=0.25)
    apart = [ring_of(a).centroid.distance(ring_of(b).centroid) for a, b in zip(few, many, strict=True)]
    assert max(apart) < 300 / scaling.LNG_M


@pytest.mark.parametrize("spiky", [False, True])
def test_the_mixed_world_has_stores_districts_counties_and_two_countries(spiky: bool) -> None:
    shapes = scaling.mixed(300, spiky=spiky)
    assert len(shapes) == 300
    assert sum(isinstance(shape, Circle) and shape.radius_m == 30.0 for shape in shapes) > 200
    across_m = [np.ptp(s.polygons[0][0][:, 1]) * scaling.LAT_M for s in shapes if isinstance(s, Area)]
    for size_m in (1_000.0, 8_000.0, 500_000.0):
        assert sum(1.2 * size_m < across < 2.4 * size_m for across in across_m) >= 2


@pytest.mark.parametrize("overlap", [0.5, 2.0])
def test_stars_are_as_dense_as_a_curve_says(overlap: float) -> None:
    world = stars(400, spread=math.sqrt(STARS_A_POINT * 400 / 10_000 / overlap))
    assert fences_a_point(world.shapes, *world.points(20_000)) == pytest.approx(overlap, rel=0.25)


def test_stars_have_as_many_corners_as_they_are_asked_for() -> None:
    assert {corners_of(shape) for shape in stars(20, 200).shapes} == {200}


@pytest.mark.parametrize("world", [city(50), stars(50)])
def test_shapely_and_the_index_are_given_the_same_fences(world: Any) -> None:
    assert all(
        shapely.equals_exact(polygon, ring_of(shape))
        for polygon, shape in zip(world.polygons, world.shapes, strict=True)
    )


def test_every_figure_of_how_the_index_scales_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scaling, "QUICK", scaling.Sizes((40, 60), (8, 12), 60, (50,), 60, edits=2, points=500, rounds=1)
    )
    made = scaling.run(quick=True)
    curves = {figure.curve for figure in made}
    assert curves == {"fences", "rough", "spiky", "sizes", "build", "edit"}
    assert all(figure.value > 0 for figure in made)
