"""Whole circles: the short way gives the answers of the signed distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.border import Borders
from geo.index import FenceIndex
from geo.reach import circle_in, circle_out, outlines_of
from geo.shape import Area, Circle, Corridor, Shape

CENTRES = [(35.69, 139.7), (0.0, 0.0), (-54.8, -68.3), (79.9, 20.0), (84.0, 20.0), (10.0, 179.9)]


def shapes_at(lat: float, lng: float) -> list[Shape]:
    """One of each kind, a large one and one with a hole, within reach of a point."""
    deg = 1 / 111_000
    aside = deg / math.cos(math.radians(lat))

    def ring(size_m: float, corners: int) -> np.ndarray:
        angles = np.append(np.arange(corners), 0) * (2 * math.pi / corners)
        x = np.clip(lng + size_m * aside * np.cos(angles), -180, 180)
        return np.column_stack([x, lat + size_m * deg * np.sin(angles)])

    way = np.array([[lng, lat], [min(lng + 300 * aside, 180.0), lat + 100 * deg], [lng, lat + 400 * deg]])
    return [
        Area(((ring(300, 64),),)),
        Area(((ring(400, 7), ring(60, 5)),)),
        Area(((ring(200_000, 5),),)),
        Circle(lat, lng, 250.0),
        Circle(lat + 9_500 * deg, lng, 9_500.0),
        Corridor((way,), 40.0),
    ]


@pytest.mark.parametrize("centre", CENTRES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_the_short_way_agrees_with_the_signed_distance(centre: tuple[float, float], data: st.DataObject) -> None:
    shapes = shapes_at(*centre)
    borders, index = Borders.build(shapes), FenceIndex.build(shapes)
    outlines = list(zip(*(part.tolist() for part in outlines_of(borders.columns, borders.row)), strict=True))
    metres = st.floats(-600, 600)
    for _ in range(20):
        lat = centre[0] + data.draw(metres) / 111_000
        lng = min(centre[1] + data.draw(metres) / (111_000 * math.cos(math.radians(centre[0]))), 180.0)
        radius_m = data.draw(st.one_of(st.floats(0, 500), st.floats(0, 300_000), st.just(0.0)))
        offsets, fences = index.match(np.array([lat]), np.array([lng]))
        for f in range(len(shapes)):
            signed_m = float(borders.signed_distance_m(np.array([f], np.int32), np.array([lat]), np.array([lng]))[0])
            if abs(abs(signed_m) - radius_m) < 1e-6 and radius_m > 0:
                continue  # no measure is that exact
            if f in fences[offsets[0] : offsets[1]]:
                assert circle_in(borders.columns, f, outlines[f], lat, lng, radius_m) == (signed_m <= -radius_m)
            else:
                assert circle_out(borders.columns, f, outlines[f], lat, lng, radius_m) == (signed_m > radius_m)
