"""Crossed: a device went through a fence between two fixes, and neither of them was in it.

Owns the limits of what is claimed. Must not know presence. The way between two fixes is straight in longitude and
latitude, the short way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geo.point import Point, distance_m

if TYPE_CHECKING:
    from engine.presence import Fix
    from engine.view import View

#: Longer apart than this, nobody knows the way.
GAP_MS = 120_000
#: Faster than this, one of the fixes is wrong.
SPEED_MAX_M_S = 70.0


def crossed(view: View, before: tuple[int, float, float] | None, fix: Fix) -> list[int]:
    """The fences crossed on the way from `before` (time_ms, lat, lng) to `fix`, of those that a rule asks about."""
    if before is None or not view.crossings or not 0 < fix.time_ms - before[0] <= GAP_MS:
        return []
    time_ms, lat, lng = before
    way_m = distance_m(
        Point.from_lat_lng(lat_deg=lat, lng_deg=lng), Point.from_lat_lng(lat_deg=fix.lat, lng_deg=fix.lng)
    )
    if way_m * 1000 >= SPEED_MAX_M_S * (fix.time_ms - time_ms):
        return []
    inside = set(fix.fences)
    return [
        fence
        for fence in view.crossings
        if fence not in inside
        and not fix.accuracy > view.detections[fence].max_accuracy_m
        and view.borders.cuts(fence, lat, lng, fix.lat, fix.lng)
        and _is_outside(view, fence, lat, lng)
    ]


def _is_outside(view: View, fence: int, lat: float, lng: float) -> bool:
    at = (np.array([fence], np.int32), np.array([lat]), np.array([lng]))
    return float(view.borders.signed_distance_m(*at)[0]) > 0.0
