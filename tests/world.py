"""A small world for tests: sites from a few words, pings from metres, and the fold of both.

A `Stage` holds a real engine under a real site; distances are metres east and north of `CENTRE`, times seconds after
`T0`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.ping import Rows, columns, judge_pings
from engine.settings import PingLimits
from engine.site import Site, read_site
from engine.step import Effects, Engine
from engine.wire import Edited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.told import Transition
    from engine.wire import Input

#: Wednesday 2026-11-25, 17:00:00 in Tokyo.
T0 = 1_795_593_600_000
CENTRE = (35.690921, 139.700258)
#: Journeys jump about in time as they like.
_LIMITS = PingLimits(max_age_ms=10**12)
_LAT_M = 110_940.0
_LNG_M = 90_470.0
#: A rule with a timer of a device: whoever stays in the fence `shop` for a minute.
STAYED = """
id: stayed
state: live
trigger: {event: dwelled, for: 1m, place: {id: shop}}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""
#: A rule with a timer of its own: whoever is in the fence `shop` at five past five.
TICK = """
id: tick
state: live
trigger: {event: timer, at: "17:05", inside: {id: shop}, timezone: Asia/Tokyo}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""


def at(east_m: float, north_m: float = 0.0) -> tuple[float, float]:
    """(lat, lng) of a point so many metres from the centre, to a few decimetres in ten kilometres."""
    return CENTRE[0] + north_m / _LAT_M, CENTRE[1] + east_m / _LNG_M


def circle(name: str, east_m: float = 0.0, radius_m: float = 100.0, **properties: Any) -> dict[str, Any]:
    """A feature: a circle so many metres east of the centre."""
    lat, lng = at(east_m)
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "Point", "coordinates": [lng, lat]},
        "properties": {"radius_m": radius_m, "timezone": "Asia/Tokyo", **properties},
    }


def square(name: str, east_m: float = 0.0, half_m: float = 100.0, **properties: Any) -> dict[str, Any]:
    """A feature: a square round a point so many metres east of the centre."""
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    ring = [at(east_m + x * half_m, y * half_m)[::-1] for x, y in corners]
    return {
        "type": "Feature",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"timezone": "Asia/Tokyo", **properties},
    }


def files_of(
    fences: Sequence[dict[str, Any]] = (), rules: str = "", beacons: str = "", settings: str = ""
) -> dict[str, bytes]:
    """The files of a site."""
    collection = {"type": "FeatureCollection", "features": list(fences)}
    files = {
        "nearcast.yaml": settings,
        "fences/all.geojson": json.dumps(collection),
        "templates/hello.yaml": 'en: {title: "Hello", body: "You are at {place.name}"}\n',
    }
    if rules:
        files["rules/all.yaml"] = rules
    if beacons:
        files["beacons/all.yaml"] = beacons
    return {name: text.encode() for name, text in files.items()}


def site_of(files: dict[str, bytes]) -> Site:
    """The site of these files; a mistake in them fails the test."""
    site, mistakes = read_site(files)
    assert site is not None, "\n".join(str(m) for m in mistakes)
    return site


def rows(pings: Sequence[dict[str, Any]]) -> Rows:
    """Rows of one request's pings, judged as the wire's are, but for their age."""
    decoded = judge_pings([_wire(p) for p in pings], now_ms=max(p["time"] for p in pings), limits=_LIMITS)
    assert not decoded.rejected, decoded.rejected
    return decoded.rows


def _wire(ping: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in ping.items() if v == v}


@dataclass
class Stage:
    """An engine at work. Each call is one step; `told` gathers all transitions."""

    site: Site
    now_ms: int = T0
    engine: Engine = field(init=False)
    told: list[Transition] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(self.site, self.now_ms)

    def step(self, inputs: Sequence[Input] = (), now_ms: int | None = None) -> Effects:
        """Fold inputs, received at `now_ms`."""
        self.now_ms = self.now_ms if now_ms is None else now_ms
        effects = self.engine.step(inputs, self.now_ms)
        self.told += effects.transitions
        self.effects.append(effects)
        return effects

    def post(self, *pings: dict[str, Any], now_ms: int | None = None) -> Effects:
        """One request; received at the time of its newest ping unless told otherwise."""
        received = max((p["time"] for p in pings), default=self.now_ms) if now_ms is None else now_ms
        return self.step([columns([rows(pings)])], received)

    def fix(
        self, seconds: float, east_m: float, accuracy: float = math.nan, device: str = "d-1", **more: Any
    ) -> Effects:
        """One fix of a device, so many metres east of the centre, so many seconds after `T0`."""
        lat, lng = at(east_m)
        time_ms = T0 + round(seconds * 1000)
        return self.post({"device": device, "time": time_ms, "lat": lat, "lng": lng, "accuracy": accuracy, **more})

    def wait(self, seconds: float) -> Effects:
        """Let the machine's clock come to so many seconds after `T0`."""
        return self.step((), T0 + round(seconds * 1000))

    def edit(self, files: dict[str, bytes], seconds: float) -> Effects:
        """Bring other files into force."""
        return self.step([Edited(site_of(files).version, files)], T0 + round(seconds * 1000))

    def story(self) -> list[tuple[str, str, float, str]]:
        """What was told so far: (kind, place, seconds after T0, cause)."""
        return [(t.kind.value, t.place.id, (t.time_ms - T0) / 1000, t.cause) for t in self.told]
