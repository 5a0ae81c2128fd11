"""The small exact parts: sides of lines, sines, geodesics, distances to segments."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import assume, given
from hypothesis import strategies as st

from geo.geodesic import chord_m_bounds, ecef, inverse
from geo.orient import orient, segments_touch
from geo.point import Point, distance_m
from geo.segment import least_m, segment_m
from geo.timezone import timezone_at
from geo.trig import sincos_deg, unit_vector
from tests.geo.twin import line_distance_m

degrees = st.floats(-180.0, 180.0)
lats = st.floats(-90.0, 90.0)
lngs = st.floats(-180.0, 180.0)


def _sign(x: float | Fraction) -> int:
    return (x > 0) - (x < 0)


def _exact(x0: float, y0: float, x1: float, y1: float, x: float, y: float) -> Fraction:
    a, b, c, d, e, f = map(Fraction, (x0, y0, x1, y1, x, y))
    return (c - a) * (f - b) - (d - b) * (e - a)


def _is_lost(det: Fraction) -> bool:
    """At the lower end of doubles the answer is that of GEOS, which the index's tests compare with."""
    return det != 0 and abs(det) < 1e-285


@given(st.tuples(degrees, degrees, degrees, degrees, degrees, degrees))
def test_the_side_of_a_line_is_that_of_exact_arithmetic(c: tuple[float, ...]) -> None:
    det = _exact(*c)
    assume(not _is_lost(det))
    assert _sign(orient(*c)) == _sign(det)


@given(degrees, degrees, degrees, degrees, st.floats(0.0, 1.0), st.integers(-2, 2), st.integers(-2, 2))
def test_the_side_of_a_line_is_exact_a_rounding_away_from_it(
    x0: float, y0: float, x1: float, y1: float, t: float, up: int, aside: int
) -> None:
    x, y = x0 + t * (x1 - x0), y0 + t * (y1 - y0)
    x, y = x + aside * math.ulp(x), y + up * math.ulp(y)
    det = _exact(x0, y0, x1, y1, x, y)
    assume(not _is_lost(det))
    assert _sign(orient(x0, y0, x1, y1, x, y)) == _sign(det)


def test_the_side_is_exact_where_differences_round() -> None:
    for tiny in (1e-17, -1e-17, 1e-40, 5e-17):
        c = (tiny, 0.1, 100.0, 0.1 + 1e-16, 50.0, 0.1)
        assert _sign(orient(*c)) == _sign(_exact(*c))


def test_segments_touch_at_ends_and_in_line() -> None:
    assert segments_touch(0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.0)
    assert segments_touch(0.0, 0.0, 2.0, 2.0, 1.0, 1.0, 3.0, 3.0)
    assert segments_touch(0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0)
    assert not segments_touch(0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0)
    assert not segments_touch(0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1)


def test_sines_of_degrees_are_right_to_two_units() -> None:
    rng = np.random.default_rng(1)
    worst = 0.0
    for x in rng.uniform(-360.0, 360.0, 20_000).tolist():
        s, c = sincos_deg(x)
        turns = math.remainder(x, 360.0)
        worst = max(worst, abs(s - math.sin(math.radians(turns))), abs(c - math.cos(math.radians(turns))))
    assert worst < 6e-16
    exact = {0.0: (0.0, 1.0), 90.0: (1.0, 0.0), 180.0: (0.0, -1.0), -90.0: (-1.0, 0.0), -180.0: (0.0, -1.0)}
    assert {x: sincos_deg(x) for x in exact} == exact


@given(lats, lngs, lats, lngs)
def test_a_distance_is_that_of_geographiclib(lat0: float, lng0: float, lat1: float, lng1: float) -> None:
    want = Geodesic.WGS84.Inverse(lat0, lng0, lat1, lng1)["s12"]
    got = distance_m(Point.from_lat_lng(lat_deg=lat0, lng_deg=lng0), Point.from_lat_lng(lat_deg=lat1, lng_deg=lng1))
    assert got == pytest.approx(want, abs=1e-3)


def test_distances_at_all_scales_are_those_of_geographiclib() -> None:
    rng = np.random.default_rng(2)
    for scale in (1e-7, 1e-4, 1e-2, 1.0, 20.0):
        for _ in range(200):
            lat, lng = rng.uniform(-89.0, 89.0), rng.uniform(-180.0, 180.0)
            to = max(-90.0, min(90.0, lat + rng.normal(0.0, scale))), lng + rng.normal(0.0, scale)
            want = Geodesic.WGS84.Inverse(lat, lng, *to)["s12"]
            assert abs(inverse(lat, lng, *to) - want) < 2e-8


def test_near_antipodal_points_have_a_distance() -> None:
    rng = np.random.default_rng(3)
    for _ in range(100):
        lat, lng = rng.uniform(-90.0, 90.0), rng.uniform(-180.0, 0.0)
        to = max(-90.0, min(90.0, -lat + rng.normal(0.0, 0.3))), lng + 180.0 + rng.normal(0.0, 0.3)
        want = Geodesic.WGS84.Inverse(lat, lng, *to)["s12"]
        assert abs(inverse(lat, lng, *to) - want) < 1e-3


def test_the_chords_bounds_hold_in_all_directions() -> None:
    rng = np.random.default_rng(4)
    for _ in range(2_000):
        radius_m = float(10.0 ** rng.uniform(0.0, 6.69))
        lat, lng = rng.uniform(-90.0, 90.0), rng.uniform(-180.0, 180.0)
        end = Geodesic.WGS84.Direct(lat, lng, rng.uniform(0.0, 360.0), radius_m)
        chord = math.dist(ecef(lat, lng), ecef(end["lat2"], end["lon2"]))
        low, high = chord_m_bounds(radius_m)
        assert low < chord < high


@pytest.mark.parametrize("lat", [0.0, 35.7, 60.0, -75.0])
def test_the_distance_to_a_segment_is_right_to_a_fifth_of_a_millimetre(lat: float) -> None:
    rng = np.random.default_rng(int(abs(lat)))
    for scale in (1e-4, 1e-2, 0.1):
        for _ in range(25):
            x0, y0, x1, y1 = (np.array([179.0, lat, 179.0, lat]) + rng.normal(0.0, scale, 4)).tolist()
            y, x = lat + rng.normal(0.0, scale), 179.0 + rng.normal(0.0, scale)
            want = line_distance_m((np.array([[x0, y0], [x1, y1]]),), y, x)
            got = segment_m(y, x, *ecef(y, x), x0, y0, x1, y1)
            assert got == pytest.approx(want, abs=2e-4)
            assert least_m(y, x, math.cos(math.radians(y)), x0, y0, x1, y1) <= want + 1e-6


def test_the_distance_goes_over_the_antimeridian_and_along_long_segments() -> None:
    for y, x, edge in (
        (10.0, 179.9, (-179.9, 9.0, -179.9, 11.0)),
        (10.0, -180.0, (179.9, 9.0, 179.9, 11.0)),
        (50.0, 10.0, (-40.0, 50.3, 60.0, 50.1)),
        (-5.0, 0.0, (0.3, -60.0, 0.1, 60.0)),
    ):
        line = np.array(edge).reshape(2, 2)
        assert segment_m(y, x, *ecef(y, x), *edge) == pytest.approx(line_distance_m((line,), y, x), abs=1e-3)


def test_a_point_says_its_order_and_refuses_what_is_out_of_range() -> None:
    assert Point.from_geojson((139.7, 35.69, 40.0)) == Point.from_lat_lng(lat_deg=35.69, lng_deg=139.7)
    for lat, lng in ((90.1, 0.0), (0.0, 180.1), (math.nan, 0.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="must be between"):
            Point.from_lat_lng(lat_deg=lat, lng_deg=lng)
    with pytest.raises(ValueError, match="needs longitude and latitude"):
        Point.from_geojson([139.7])


def test_a_unit_vector_has_length_one() -> None:
    assert math.hypot(*unit_vector(35.69, 139.7)) == pytest.approx(1.0, abs=1e-15)


def test_the_zone_of_a_position() -> None:
    assert [timezone_at(35.69, 139.7), timezone_at(51.5, -0.1)] == ["Asia/Tokyo", "Europe/London"]
