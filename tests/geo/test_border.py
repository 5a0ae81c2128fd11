"""Distances to borders, ways that cut, circles round fences."""

from __future__ import annotations

import numpy as np
import pytest

from geo.arrays import FloatArray
from geo.border import Borders
from geo.index import FenceIndex
from geo.shape import Area, Circle, Corridor, Shape, bounding_circle
from tests.geo.twin import WGS84, box, geometry, hard_points, line_distance_m, star

PLACES = [(35.69, 139.7), (0.0, 0.0), (-45.0, 179.995), (68.0, 20.0)]


def _distances(shape: Shape, lat: FloatArray, lng: FloatArray) -> FloatArray:
    return Borders.build([shape]).signed_distance_m(np.zeros(lat.size, np.int32), lat, lng)


def _round(rng: np.random.Generator, place: tuple[float, float], spread_m: float, count: int) -> tuple[FloatArray, ...]:
    lat = place[0] + rng.normal(0.0, spread_m, count) / 111_195.0
    lng = place[1] + rng.normal(0.0, spread_m, count) / 111_195.0 / np.cos(np.radians(place[0]))
    return lat, (lng + 180.0) % 360.0 - 180.0


@pytest.mark.parametrize("place", PLACES[:2] + PLACES[3:])
@pytest.mark.parametrize("radius_m", [30.0, 500.0, 20_000.0])
def test_the_distance_to_an_area_is_the_geodesic_one(place: tuple[float, float], radius_m: float) -> None:
    rng = np.random.default_rng(int(radius_m))
    shape = star(rng, *place, radius_m, 12, True)
    lat, lng = _round(rng, place, radius_m, 40)
    got = _distances(shape, lat, lng)
    want = [line_distance_m(shape.polygons[0], y, x) for y, x in zip(lat, lng, strict=True)]
    assert np.abs(got) == pytest.approx(want, abs=1e-3)


def test_the_distance_from_far_away_is_right_to_a_thousandth() -> None:
    rng = np.random.default_rng(4)
    shape = star(rng, 35.69, 139.7, 500.0, 12)
    lat, lng = np.array([35.0, 20.0, 60.0, -40.0, 36.0]), np.array([139.0, 100.0, -170.0, 140.0, -40.0])
    want = [line_distance_m(shape.polygons[0], y, x) for y, x in zip(lat, lng, strict=True)]
    assert _distances(shape, lat, lng) == pytest.approx(want, rel=1e-3)


def test_the_sign_is_what_match_says_on_borders_too() -> None:
    rng = np.random.default_rng(5)
    for place in PLACES[:2]:
        shapes: list[Shape] = [star(rng, *place, 300.0, 20, True), Circle(*place, 250.0)]
        shapes.append(Corridor((np.array([place[::-1], [place[1] + 0.003, place[0] + 0.001]]),), 40.0))
        lat, lng = hard_points(rng, shapes, 30)
        near_lat, near_lng = _round(rng, place, 300.0, 3_000)
        lat, lng = np.concatenate([lat, near_lat]), np.concatenate([lng, near_lng])
        offsets, fences = FenceIndex.build(shapes).match(lat, lng)
        inside = np.zeros((lat.size, len(shapes)), bool)
        inside[np.repeat(np.arange(lat.size), np.diff(offsets)), fences] = True
        borders = Borders.build(shapes)
        for n in range(len(shapes)):
            signed = borders.signed_distance_m(np.full(lat.size, n, np.int32), lat, lng)
            assert ((signed <= 0.0) == inside[:, n]).all()


def test_a_circles_and_a_corridors_distance() -> None:
    rng = np.random.default_rng(6)
    lat, lng = _round(rng, (35.69, 139.7), 400.0, 50)
    m = WGS84.inv(np.full(50, 139.7), np.full(50, 35.69), lng, lat)[2]
    assert _distances(Circle(35.69, 139.7, 300.0), lat, lng) == pytest.approx(m - 300.0, abs=1e-7)
    lines = (
        np.array([[139.7, 35.69], [139.703, 35.691], [139.704, 35.688]]),
        np.array([[139.69, 35.69], [139.69, 35.7]]),
    )
    want = [line_distance_m(lines, y, x) - 50.0 for y, x in zip(lat, lng, strict=True)]
    assert _distances(Corridor(lines, 50.0), lat, lng) == pytest.approx(want, abs=1e-3)


def test_a_cut_along_the_antimeridian_is_no_border() -> None:
    whole = Area(((box(170.0, -5.0, 180.0, 5.0),), (box(-180.0, -5.0, -170.0, 5.0),)))
    half = Area(((box(170.0, -5.0, 180.0, 5.0),),))
    uneven = Area(((box(170.0, -5.0, 180.0, 5.0),), (box(-180.0, -5.0, -170.0, 0.0),)))
    at = np.array([0.0]), np.array([179.999])
    assert _distances(whole, *at)[0] == pytest.approx(-552_885.0, rel=1e-3)
    assert _distances(half, *at)[0] == pytest.approx(-111.3, abs=0.1)
    assert _distances(uneven, np.array([2.0]), np.array([180.0]))[0] == 0.0
    assert _distances(uneven, np.array([-2.0]), np.array([-180.0]))[0] == pytest.approx(-221_150.0, rel=1e-3)
    assert _distances(whole, np.array([0.0, 0.0]), np.array([180.0, -180.0])).max() < -500_000.0


def test_a_distance_goes_the_short_way_over_the_antimeridian() -> None:
    shape = Area(((box(-179.99, -1.0, -179.0, 1.0),),))
    assert _distances(shape, np.array([0.0]), np.array([179.99]))[0] == pytest.approx(2226.39, abs=0.01)


def test_a_way_cuts_an_area_it_crosses_or_touches() -> None:
    borders = Borders.build([Area(((box(10.0, 50.0, 11.0, 51.0), box(10.4, 50.4, 10.6, 50.6)[::-1].copy()),))])
    assert borders.cuts(0, 50.5, 9.0, 50.5, 12.0)
    assert borders.cuts(0, 51.5, 9.5, 50.5, 10.0)
    assert borders.cuts(0, 51.0, 9.0, 51.0, 12.0)
    assert borders.cuts(0, 52.0, 10.0, 50.0, 12.0)
    assert not borders.cuts(0, 52.0, 10.1, 50.0, 12.1)
    assert not borders.cuts(0, 50.45, 10.45, 50.55, 10.55)
    assert not borders.cuts(0, 49.0, 9.0, 49.0, 12.0)


def test_a_way_cuts_a_circle_or_a_corridor_it_comes_near_enough_to() -> None:
    borders = Borders.build(
        [Circle(35.69, 139.7, 100.0), Corridor((np.array([[139.7, 35.69], [139.71, 35.69]]),), 50.0)]
    )
    metre = 1.0 / 110_950.0
    for fence, reach in ((0, 100.0), (1, 50.0)):
        for off_m, cut in ((-0.2, True), (0.2, False)):
            lat = 35.69 + (reach + off_m) * metre
            assert borders.cuts(fence, lat, 139.69, lat, 139.72) is cut
    assert borders.cuts(1, 35.68, 139.705, 35.70, 139.705)


def test_a_way_goes_the_short_way_over_the_antimeridian() -> None:
    borders = Borders.build(
        [
            Area(((box(179.9, -0.1, 180.0, 0.1),),)),
            Area(((box(-1.0, -1.0, 1.0, 1.0),),)),
            Circle(0.0, -179.99, 100.0),
            Corridor((np.array([[179.99, -1.0], [179.99, 1.0]]),), 100.0),
        ]
    )
    there = [borders.cuts(n, 0.0, 179.8, 0.0, -179.8) for n in range(4)]
    back = [borders.cuts(n, 0.0, -179.8, 0.0, 179.8) for n in range(4)]
    assert there == back == [True, False, True, True]


@pytest.mark.parametrize("place", PLACES)
def test_the_circle_round_a_fence_holds_all_of_it(place: tuple[float, float]) -> None:
    rng = np.random.default_rng(9)
    for radius_m in (20.0, 500.0, 300_000.0):
        shape = star(rng, place[0], min(place[1], 179.0 - radius_m / 30_000.0), radius_m, 30, True)
        lat, lng, reach_m = bounding_circle(shape)
        for ring in shape.polygons[0]:
            t = np.linspace(0.0, 1.0, 21)[:, None, None]
            points = (ring[:-1] + t * (ring[1:] - ring[:-1])).reshape(-1, 2)
            n = len(points)
            m = WGS84.inv(np.full(n, lng), np.full(n, lat), points[:, 0], points[:, 1])[2]
            assert m.max() <= reach_m
        assert reach_m <= 1.02 * geometry_reach_m(shape)


def geometry_reach_m(shape: Area) -> float:
    """A little more than the least radius: half the longest distance between two corners, times 2 / sqrt(3)."""
    import shapely

    corners = shapely.get_coordinates(shapely.convex_hull(geometry(shape)))
    far = max(
        float(WGS84.inv(np.full(len(corners), x), np.full(len(corners), y), corners[:, 0], corners[:, 1])[2].max())
        for x, y in corners
    )
    return far / np.sqrt(3.0)


def test_the_circle_round_other_shapes() -> None:
    assert bounding_circle(Circle(1.0, 2.0, 3.0)) == (1.0, 2.0, 3.0)
    lat, lng, reach_m = bounding_circle(Corridor((np.array([[139.7, 35.69], [139.71, 35.69]]),), 50.0))
    assert (lat, lng) == pytest.approx((35.69, 139.705), abs=1e-5)
    assert reach_m == pytest.approx(502.6, abs=1.0)
    cut = Area(((box(179.9, -17.0, 180.0, -16.9),), (box(-180.0, -17.0, -179.9, -16.9),)))
    lat, lng, reach_m = bounding_circle(cut)
    assert abs(lng) == pytest.approx(180.0, abs=1e-3)
    assert reach_m < 13_000.0
