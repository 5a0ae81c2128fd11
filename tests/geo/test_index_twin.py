"""The index says what an exact test of every fence says: on borders, faces, poles, everywhere."""

from __future__ import annotations

import h3
import numpy as np
import pytest

from geo.arrays import FloatArray
from geo.face import CORNER, from_plane
from geo.index import FenceIndex
from geo.rings import polygon_fault
from geo.shape import Area, Circle, Corridor, Shape
from geo.trig import lat_lng
from tests.geo.twin import WGS84, box, differences, hard_points, sphere_points, star


def _city(rng: np.random.Generator, lat: float, lng: float, count: int) -> list[Shape]:
    shapes: list[Shape] = []
    for k in range(count):
        y, x = lat + rng.normal(0.0, 0.01), lng + rng.normal(0.0, 0.01)
        if k % 3 == 0:
            shapes.append(Circle(y, x, rng.uniform(20.0, 500.0)))
        else:
            shapes.append(star(rng, y, x, rng.uniform(20.0, 900.0), int(rng.integers(3, 60)), k % 5 == 0))
    return shapes


def _round(rng: np.random.Generator, lat: float, lng: float, spread_deg: float, count: int) -> tuple[FloatArray, ...]:
    y = np.clip(lat + rng.normal(0.0, spread_deg, count), -90.0, 90.0)
    x = lng + rng.normal(0.0, spread_deg, count) / max(0.01, np.cos(np.radians(lat)))
    return y, (x + 180.0) % 360.0 - 180.0


@pytest.mark.parametrize(
    "place", [(35.69, 139.7), (51.48, 0.0), (0.0, 0.0), (0.0, -78.5), (-41.3, 174.8), (69.6, 18.9)]
)
def test_a_city_of_overlapping_fences_at_random_points_and_on_every_border(place: tuple[float, float]) -> None:
    rng = np.random.default_rng(int(place[0] * 1000) % 997)
    shapes = _city(rng, *place, 60)
    lat, lng = _round(rng, *place, 0.015, 20_000)
    assert differences(shapes, lat, lng) == []
    assert differences(shapes, *hard_points(rng, shapes, 300)) == []


@pytest.mark.parametrize("wander", [0.001, 0.02, 0.4], ids=["smooth", "a shore", "spikes"])
def test_borders_of_thousands_of_corners(wander: float) -> None:
    """Cells join what of them is in line, more or less of it; the fence itself passes over them in strides."""
    rng = np.random.default_rng(17)
    turn = 2.0 * np.pi * np.arange(3_000) / 3_000

    def ring(size: float) -> FloatArray:
        reach = size * (1.0 - rng.uniform(0.0, wander, 3_000))
        corners = np.column_stack([139.7 + reach * np.cos(turn) / 0.81, 35.69 + reach * np.sin(turn)])
        return np.vstack([corners, corners[:1]])

    shapes: list[Shape] = [Area(((ring(0.004), ring(0.002)[::-1].copy()),)), Area(((ring(0.0005),),))]
    assert differences(shapes, *_round(rng, 35.69, 139.7, 0.003, 50_000)) == []
    assert differences(shapes, *hard_points(rng, shapes, 2_000)) == []


def test_fences_whose_corners_are_round_numbers_and_points_on_their_grid() -> None:
    rng = np.random.default_rng(7)
    shapes: list[Shape] = []
    for k in range(40):
        shape = star(rng, 48.85, 2.35, 500.0, 12, k % 2 == 0)
        shapes.append(Area(tuple(tuple(np.round(r, 3) for r in p) for p in shape.polygons)))
    x, y = np.meshgrid(np.arange(2.335, 2.365, 0.0005), np.arange(48.84, 48.86, 0.0005))
    points = np.round(np.stack([x.ravel(), y.ravel()], axis=1), 4)
    shapes = [s for s in shapes if isinstance(s, Area) and polygon_fault(s.polygons[0]) is None]
    assert len(shapes) > 10
    assert differences(shapes, points[:, 1].copy(), points[:, 0].copy()) == []


def test_near_greenwich_and_the_equator_where_differences_of_degrees_are_not_exact() -> None:
    rng = np.random.default_rng(3)
    tiny = 2.0 ** -rng.integers(10, 60, (200, 2))
    ring = np.array([[-1e-3, -1e-3], [1e-3, 1e-3 / 3], [1e-17, 1e-3], [-1e-3, -1e-3]])
    shapes: list[Shape] = [
        Area(((ring,),)),
        Area(((box(0.0, 0.0, 1e-3, 1e-3),),)),
        Area(((box(-1e-20, -1e-3, 1e-3, 1e-20),),)),
    ]
    x = np.concatenate([tiny[:, 0] * 1e-3, -tiny[:, 0] * 1e-3, [0.0, -0.0, 5e-324, -5e-324, 1e-17]])
    y = np.concatenate([tiny[:, 1] * 1e-3, x[:200] / 3, [0.0, -0.0, 5e-324, -5e-324, 1e-3]])
    assert differences(shapes, y, x) == []


@pytest.mark.parametrize("size", [0.001, 0.3, 7.0])
def test_one_rounding_from_zero_degrees_the_answer_is_that_of_geos(size: float) -> None:
    """Next to 0 a double's neighbour is 5e-324, and products of such numbers vanish or not."""
    rng = np.random.default_rng(4)
    tilted = np.array([[-size, -size], [size, -size / 3], [size / 2, size], [-size, size], [-size, -size]])
    kite = np.array([[0.0, -size], [size, 0.0], [0.0, size], [-size, 0.0], [0.0, -size]])
    shapes: list[Shape] = [Area(((ring,),)) for ring in (tilted, kite, kite[::-1].copy(), box(0.0, 0.0, size, size))]
    bent = np.array([[size, -size], [0.0, 0.0], [-size, size], [size, size], [size, -size]])
    shapes += [Area(((bent,),)), Area(((bent[::-1].copy(),),))]
    shapes += [Area(((box(-size, -size, 0.0, 0.0),),)), Area(((box(-size, -size, size, 0.0),),))]
    tiny = np.array([0.0, 5e-324, -5e-324, 1e-323, -1e-310, 1e-200, -1e-40, 1e-25])
    level = np.concatenate([np.linspace(-1.5, 1.5, 61) * size, rng.uniform(-size, size, 200), tiny])
    a, b = (m.ravel() for m in np.meshgrid(tiny, level))
    assert differences(shapes, a, b) == []
    assert differences(shapes, b, a) == []


def test_all_along_long_edges_which_bend_in_the_plane_of_the_cells() -> None:
    rng = np.random.default_rng(15)
    shapes: list[Shape] = [
        Area(((np.array([[-40.0, 66.0], [50.0, 66.5], [5.0, 72.0], [-40.0, 66.0]]),),)),
        Area(((np.array([[60.0, -78.0], [61.0, -78.0], [140.0, 10.0], [60.0, -78.0]]),),)),
        Area(((box(-120.0, 55.0, -60.0, 55.2),),)),
    ]
    corners = [s.polygons[0][0] for s in shapes if isinstance(s, Area)]
    a, b = np.concatenate([c[:-1] for c in corners]), np.concatenate([c[1:] for c in corners])
    on_edge = (a + rng.random((10_000, 1, 1)) * (b - a)).reshape(-1, 2)
    points = np.concatenate([on_edge, on_edge + rng.normal(0.0, 1e-9, on_edge.shape)])
    assert differences(shapes, points[:, 1].copy(), points[:, 0].copy()) == []


def test_points_on_the_borders_of_h3_cells() -> None:
    rng = np.random.default_rng(11)
    shapes = _city(rng, 35.69, 139.7, 60)
    lat, lng = _round(rng, 35.69, 139.7, 0.015, 400)
    borders = []
    for y, x, r in zip(lat, lng, rng.integers(8, 13, lat.size), strict=True):
        corners = np.array(h3.cell_to_boundary(h3.latlng_to_cell(y, x, int(r))))
        borders.append(corners)
        borders.append((corners + np.roll(corners, 1, axis=0)) / 2.0)
    points = np.concatenate(borders)
    assert differences(shapes, points[:, 0].copy(), points[:, 1].copy()) == []


def _face_place(face: int, share: float, turn: float) -> tuple[float, float]:
    """(lat, lng) of a point of a face's plane, `share` of the way to its corners."""
    u, v = share * CORNER * np.cos(turn), share * CORNER * np.sin(turn)
    return lat_lng(*from_plane(face, u, v))


@pytest.mark.parametrize("face", range(20))
def test_across_the_edges_and_corners_of_every_face(face: int) -> None:
    """A corner is a pentagon; half a corner's way opposite is the middle of an edge."""
    rng = np.random.default_rng(face)
    for share, turn in ((1.0, 0.0), (0.5, np.pi), (1.0, 2.0 * np.pi / 3.0), (0.7, 0.9)):
        place = _face_place(face, share, turn)
        for size, spread in ((60.0, 0.0005), (3_000.0, 0.03), (150_000.0, 2.0)):
            if abs(place[0]) + 2.0 * spread > 85.0 or abs(place[1]) + 4.0 * spread > 175.0:
                continue
            shapes: list[Shape] = [star(rng, *place, size, 20, hole) for hole in (True, False)]
            shapes += [Circle(*place, size), Circle(place[0] + rng.normal(0.0, spread), place[1], size)]
            lat, lng = _round(rng, *place, spread, 1_500)
            assert differences(shapes, lat, lng) == []


def test_the_world_is_covered_by_its_faces() -> None:
    """The places of the test above are on the corners and edges of all faces, all over the globe."""
    corners = {tuple(np.round(_face_place(f, 1.0, 2.0 * np.pi * k / 3.0), 6)) for f in range(20) for k in range(3)}
    assert len(corners) == 12
    pentagons = {tuple(np.round(h3.cell_to_latlng(c), 6)) for c in h3.get_pentagons(5)}
    assert corners == pentagons


def test_countries_and_continents_all_over_the_world() -> None:
    rng = np.random.default_rng(5)
    shapes: list[Shape] = []
    for radius_m in (100_000.0, 400_000.0, 1_500_000.0):
        for _ in range(12):
            lat, lng = rng.uniform(-60.0, 60.0), rng.uniform(-130.0, 130.0)
            shapes.append(star(rng, lat, lng, radius_m, 80, True))
            shapes.append(Circle(lat, lng, radius_m))
    shapes += [Circle(0.0, 179.9, 5_000_000.0), Circle(-20.0, -180.0, 2_000_000.0), Circle(89.0, 0.0, 3_000_000.0)]
    assert differences(shapes, *sphere_points(rng, 30_000)) == []
    assert differences(shapes, *hard_points(rng, shapes, 400)) == []


def test_the_whole_world_and_half_of_it() -> None:
    rng = np.random.default_rng(6)
    shapes: list[Shape] = [
        Area(((box(-180.0, -90.0, 180.0, 90.0),),)),
        Area(((box(-180.0, 0.0, 180.0, 90.0),),)),
        Area(((box(0.0, -90.0, 180.0, 90.0),),)),
        Area(((box(-180.0, -90.0, 180.0, -60.0), box(10.0, -80.0, 20.0, -70.0)[::-1].copy()),)),
    ]
    lat, lng = sphere_points(rng, 20_000)
    assert differences(shapes, lat, lng) == []
    edges = np.array([-180.0, 180.0, 0.0, -0.0, 90.0, -90.0, 45.0])
    y, x = np.meshgrid([90.0, -90.0, 0.0, -0.0, 60.0, -60.0, 89.999999], edges)
    assert differences(shapes, y.ravel(), x.ravel()) == []


def test_over_the_antimeridian_a_cut_fence_is_one() -> None:
    rng = np.random.default_rng(8)
    shapes: list[Shape] = [
        Area(((box(179.0, -17.0, 180.0, -16.0),), (box(-180.0, -17.0, -179.0, -16.0),))),
        Area(((box(179.999, 65.0, 180.0, 65.001),), (box(-180.0, 65.0, -179.999, 65.001),))),
        Area(((box(170.0, -17.0, 180.0, -16.5),),)),
        Circle(-16.5, 180.0, 30_000.0),
        Circle(-16.5, -179.99, 2_000.0),
        Corridor((np.array([[179.9, -16.5], [180.0, -16.4]]), np.array([[-180.0, -16.4], [-179.9, -16.3]])), 500.0),
    ]
    lat, lng = _round(rng, -16.5, 180.0, 0.7, 3_000)
    near_lat, near_lng = _round(rng, -16.45, 180.0, 0.02, 300)
    lat, lng = np.concatenate([lat, near_lat]), np.concatenate([lng, near_lng])
    assert differences(shapes[:5], lat, lng) == []
    assert differences(shapes[5:], near_lat, near_lng) == []
    on_it = np.linspace(-17.2, -15.8, 200)
    for side in (180.0, -180.0, np.nextafter(180.0, 0.0), np.nextafter(-180.0, 0.0)):
        assert differences(shapes[:5], on_it, np.full(200, side)) == []
    index = FenceIndex.build(shapes)
    east, west = index.match(on_it, np.full(200, 180.0)), index.match(on_it, np.full(200, -180.0))
    assert east[0].tolist() == west[0].tolist()
    assert east[1].tolist() == west[1].tolist()


def test_at_the_poles() -> None:
    rng = np.random.default_rng(9)
    wedge = np.array([[10.0, 80.0], [40.0, 80.0], [40.0, 90.0], [10.0, 90.0], [10.0, 80.0]])
    shapes: list[Shape] = [
        Circle(90.0, 0.0, 1_000.0), Circle(-90.0, 50.0, 50_000.0), Circle(89.9, 10.0, 20_000.0), Area(((wedge,),)),
        Area(((box(-30.0, 85.0, 30.0, 86.0), box(-1.0, 85.2, 1.0, 85.4)),)),
    ]  # fmt: skip
    lat = np.concatenate([90.0 - np.abs(rng.normal(0.0, s, 800)) for s in (0.005, 0.2, 4.0)])
    lng = rng.uniform(-180.0, 180.0, lat.size)
    assert differences(shapes, lat, lng) == []
    assert differences(shapes, -lat, lng) == []
    assert differences(shapes, *hard_points(rng, shapes, 50)) == []


def test_slivers_holes_that_touch_and_fences_inside_one_cell() -> None:
    rng = np.random.default_rng(10)
    y, x = 35.69, 139.7
    m = 1.0 / 111_195.0
    ring = box(x, y, x + 1000 * m, y + 1000 * m)
    touching = np.array([[x, y + 500 * m], [x + 300 * m, y + 400 * m], [x + 300 * m, y + 600 * m], [x, y + 500 * m]])
    shapes: list[Shape] = [
        Area(((np.array([[x, y], [x + 0.1, y + 1e-6], [x + 0.1, y + 2e-6], [x, y]]),),)),
        Area(((np.array([[x, y], [x + 2 * m, y], [x + m, y + 2 * m], [x, y]]),),)),
        Area(((np.array([[x, y], [x + 1e-9, y], [x + 1e-9, y + 1e-9], [x, y]]),),)),
        Area(((ring, touching),)),
        Area(((ring, box(x + 500 * m, y + 500 * m, x + 502 * m, y + 502 * m)[::-1].copy()),)),
        Area(((box(x, y, x + 5 * m, y + 5 * m),), (box(x + 5 * m, y, x + 9 * m, y + 5 * m),))),
        Area(((ring[::-1].copy(),),)),
        Circle(y, x, 0.01),
        Circle(y, x, 3.0),
    ]
    lat, lng = y + rng.uniform(-50, 1_100, 20_000) * m, x + rng.uniform(-50, 1_100, 20_000) * m
    near_lat, near_lng = y + rng.normal(0.0, 5.0, 5_000) * m, x + rng.normal(0.0, 5.0, 5_000) * m
    assert differences(shapes, np.concatenate([lat, near_lat]), np.concatenate([lng, near_lng])) == []
    assert differences(shapes, *hard_points(rng, shapes, 100)) == []
    on_sliver = rng.random(2_000)
    assert differences(shapes, y + on_sliver * 1.5e-6, x + on_sliver * 0.1) == []


def test_a_ring_of_ten_thousand_vertices() -> None:
    rng = np.random.default_rng(12)
    shapes: list[Shape] = [star(rng, -33.87, 151.21, 800.0, 10_000, True), star(rng, -33.87, 151.21, 80_000.0, 10_000)]
    for spread in (0.008, 0.5):
        assert differences(shapes, *_round(rng, -33.87, 151.21, spread, 5_000)) == []
    assert differences(shapes, *hard_points(rng, shapes, 500)) == []


def test_corridors_of_all_sizes() -> None:
    rng = np.random.default_rng(13)
    for lat, lng, length_deg, buffer_m in (
        (35.69, 139.7, 0.002, 15.0),
        (60.0, 25.0, 0.3, 400.0),
        (-20.0, 47.0, 6.0, 20_000.0),
    ):
        steps = rng.normal(0.0, length_deg / 4.0, (6, 2)).cumsum(axis=0)
        shapes: list[Shape] = [Corridor((np.array([lng, lat]) + steps,), buffer_m)]
        y, x = _round(rng, lat, lng, length_deg / 2.0, 150)
        assert differences(shapes, y, x) == []


def test_a_point_at_a_circles_rim_is_decided_by_the_geodesic() -> None:
    rng = np.random.default_rng(14)
    for radius_m in (5.0, 300.0, 20_000.0, 800_000.0, 4_000_000.0):
        shape = Circle(rng.uniform(-70.0, 70.0), rng.uniform(-180.0, 180.0), radius_m)
        turn = rng.uniform(0.0, 360.0, 500)
        for off_m in (-2e-6, 2e-6, -1e-3, 1e-3, 1.0, -1.0):
            full = np.full(500, shape.lng_deg), np.full(500, shape.lat_deg)
            lng, lat, _ = WGS84.fwd(*full, turn, np.full(500, radius_m + off_m))
            assert differences([shape], lat, (lng + 180.0) % 360.0 - 180.0) == []
            offsets, _ = FenceIndex.build([shape]).match(lat, (lng + 180.0) % 360.0 - 180.0)
            assert offsets[-1] == (500 if off_m < 0.0 else 0)
