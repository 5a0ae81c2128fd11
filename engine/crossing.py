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


def crossed(view: View, before: Fix | None, fix: Fix) -> list[int]:
    """The fences crossed on the way from `before` to `fix`, of those that a rule asks about.

    `before` is the newest fix that any of these fences takes. Where a fence is stricter and does not take it, nothing
    is claimed: what came before that is not kept.
    """
    if before is None or not view.crossings or not 0 < fix.time_ms - before.time_ms <= GAP_MS:
        return []
    near = [fence for fence, box in zip(view.crossings, view.boxes.tolist(), strict=True) if _meets(before, fix, box)]
    if not near or _too_fast(before, fix):
        return []
    inside = set(fix.fences)
    return [
        fence
        for fence in near
        if fence not in inside
        and not before.accuracy > view.detections[fence].usable_m
        and not fix.accuracy > view.detections[fence].usable_m
        and view.borders.cuts(fence, before.lat, before.lng, fix.lat, fix.lng)
        and _is_outside(view, fence, before.lat, before.lng)
    ]


def _meets(before: Fix, fix: Fix, box: list[float]) -> bool:
    """True if the box round the way meets a fence's box (lng lat lng lat), or the way runs over the antimeridian."""
    west, east = min(before.lng, fix.lng), max(before.lng, fix.lng)
    south, north = min(before.lat, fix.lat), max(before.lat, fix.lat)
    return east - west > 180.0 or (west <= box[2] and east >= box[0] and south <= box[3] and north >= box[1])


def _too_fast(before: Fix, fix: Fix) -> bool:
    way_m = distance_m(
        Point.from_lat_lng(lat_deg=before.lat, lng_deg=before.lng),
        Point.from_lat_lng(lat_deg=fix.lat, lng_deg=fix.lng),
    )
    return way_m * 1000 >= SPEED_MAX_M_S * (fix.time_ms - before.time_ms)


def _is_outside(view: View, fence: int, lat: float, lng: float) -> bool:
    at = (np.array([fence], np.int32), np.array([lat]), np.array([lng]))
    return float(view.borders.signed_distance_m(*at)[0]) > 0.0
