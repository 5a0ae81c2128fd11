"""The exact test of one fence says what GEOS says, however its border falls into blocks and groups of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from geo.arrays import FloatArray
from geo.columns import BLOCK, GROUP, columns_of
from geo.cover import covers
from geo.shape import Area, Shape
from tests.geo.twin import box, brute, hard_points, star


def _ring(lat: float, lng: float, size_deg: FloatArray) -> FloatArray:
    turn = 2.0 * np.pi * np.arange(len(size_deg)) / len(size_deg)
    ring = np.stack([lng + size_deg * np.cos(turn), lat + size_deg * np.sin(turn)], axis=1)
    return np.vstack([ring, ring[:1]])


def _differ(area: Area, lat: FloatArray, lng: FloatArray) -> list[tuple[float, float]]:
    """The points, as (lat, lng), of which `covers` says something else than the twin."""
    columns = columns_of([area])
    found = [covers(columns, 0, y, x) for y, x in zip(lat, lng, strict=True)]
    return [(lat[k], lng[k]) for k in np.flatnonzero(np.array(found) != brute(area, lat, lng)[0])]


@pytest.mark.parametrize("corners", [3, BLOCK, 5 * BLOCK + 7, BLOCK * GROUP, 3 * BLOCK * GROUP + 5])
@pytest.mark.parametrize("place", [(35.69, 139.7), (0.0, 0.0)])
def test_borders_of_any_length_at_random_points_and_at_corners(corners: int, place: tuple[float, float]) -> None:
    rng = np.random.default_rng(corners)
    lat, lng = place
    smooth, spiky = rng.uniform(0.99, 1.0, corners), rng.uniform(0.5, 1.0, corners)
    for area in (
        Area(((_ring(lat, lng, 0.01 * smooth),),)),
        Area(((_ring(lat, lng, 0.01 * spiky), _ring(lat, lng, 0.005 * smooth)[::-1].copy()),)),
    ):
        shapes: list[Shape] = [area]
        near_lat, near_lng = hard_points(rng, shapes, 60)
        y, x = np.array(place)[:, None] + rng.uniform(-0.011, 0.011, (2, 1_000))
        assert _differ(area, np.concatenate([near_lat, y]), np.concatenate([near_lng, x])) == []


def test_many_rings_in_one_block_and_rings_that_end_within_one() -> None:
    rng = np.random.default_rng(4)
    areas = [
        star(rng, 35.6 + 0.01 * (k % 20), 139.6 + 0.01 * (k // 20), 400.0, 3 + k % 50, k % 3 == 0) for k in range(400)
    ]
    area = Area(tuple(polygon for each in areas for polygon in each.polygons))
    lat, lng = rng.uniform(35.59, 35.81, 2_000), rng.uniform(139.59, 139.81, 2_000)
    assert _differ(area, lat, lng) == []
    assert _differ(area, *hard_points(rng, [area], 100)) == []


@pytest.mark.parametrize("corners", range(BLOCK * GROUP + 3, BLOCK * GROUP + BLOCK + 3, 5))
def test_a_long_border_cut_at_the_antimeridian(corners: int) -> None:
    """Once the boxes of groups were looked for behind the blocks of what is inside, where those of the border go on."""
    rng = np.random.default_rng(corners)
    turn = np.pi * (np.arange(corners) / (corners - 1) - 0.5)
    east = np.stack([180.0 - rng.uniform(0.9, 1.0, corners) * np.cos(turn), np.sin(turn)], axis=1)
    east[[0, -2, -1]] = (180.0, -1.0), (179.9999, 1.0), (180.0, -0.9)
    area = Area(((np.vstack([east, east[:1]])[::-1].copy(),), (box(-180.0, -0.95, -179.5, 0.5),)))
    lat, away = rng.uniform(-1.1, 1.1, 1_000), rng.uniform(0.0, 1.1, 1_000)
    assert _differ(area, lat, 180.0 - away) == []
    assert _differ(area, lat, away - 180.0) == []
