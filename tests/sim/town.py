"""The town of the simulation: fences, zones and rules as plain documents, and the edits that they go through.

Owns what is written in the site's files, so that the laws can read the same documents without the engine's readers.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.world import at

if TYPE_CHECKING:
    from random import Random

#: The town is a square of twice this, in metres round the centre.
HALF_M = 1200.0
FENCES = 60
ZONES = 8
TAGS = ("shop", "station", "park", "own-store", "rival")
TIMEZONES = ("Asia/Tokyo", "Asia/Tokyo", "Asia/Tokyo", "Asia/Seoul", "America/New_York")
TEST_USERS = ("u-0", "u-3", "u-5")
UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
CONSENT = {"consent": "marketing"}
SETTINGS = {
    "timezone": "Asia/Tokyo",
    "test_users": list(TEST_USERS),
    "channels": {
        "push": {"kind": "webhook", "url": "http://127.0.0.1:9/push", "secrets": ["whsec_c2ltdWxhdGlvbg=="]},
        "audit": {"kind": "file", "path": "var/sent.jsonl"},
    },
}


@dataclass
class Town:
    """One version of the site, as documents. `zones_at` tells where each zone's beacons hang, in metres."""

    fences: dict[str, dict[str, Any]]
    zones: dict[str, dict[str, Any]]
    zones_at: dict[str, tuple[float, float]]
    rules: dict[str, dict[str, Any]]

    def files(self) -> dict[str, bytes]:
        """The files of the site. JSON is YAML."""
        collection = {"type": "FeatureCollection", "features": list(self.fences.values())}
        return {
            "nearcast.yaml": json.dumps(SETTINGS).encode(),
            "fences/all.geojson": json.dumps(collection).encode(),
            "beacons/all.yaml": json.dumps(list(self.zones.values())).encode(),
            "rules/all.yaml": "\n---\n".join(json.dumps(rule) for rule in self.rules.values()).encode(),
            "templates/hello.yaml": b'en: {title: "Hello {user.id}", body: "It is {occasion.kind}"}\n',
        }

    def places(self) -> dict[str, dict[str, Any]]:
        """What rules may ask of each place: tags, group, time zone."""
        found = {name: f["properties"] for name, f in self.fences.items()}
        return found | self.zones


def build_town(random: Random) -> Town:
    """A town of overlapping fences, zones and rules."""
    fences = {f"f-{n:02}": _fence(f"f-{n:02}", n, random) for n in range(FENCES)}
    zones, zones_at = {}, {}
    for n in range(ZONES):
        name = f"z-{n}"
        east, north = -600 + 300 * (n // 2) + 45 * (n % 2), 40.0 * (n % 2)
        zones_at[name] = (east, north)
        zones[name] = {"id": name, "beacons": [f"ibeacon:{UUID}:{n}:*"], "exit_after": random.choice(["20s", "30s"])}
        if n < 6:
            zones[name]["group"] = f"floors-{n // 2}"
        if n % 3 != 1:
            zones[name]["inside"] = f"f-{random.randrange(FENCES):02}"
        zones[name]["tags"] = ["floor"]
        zones[name]["timezone"] = "Asia/Tokyo"
    return Town(fences, zones, zones_at, {rule["id"]: rule for rule in _rules()})


def edited_town(town: Town, random: Random) -> Town:
    """The next version: fences moved, gone, come back, other tags; zones too; rules paused and woken."""
    fences, zones = copy.deepcopy(town.fences), copy.deepcopy(town.zones)
    rules = copy.deepcopy(town.rules)
    held = {z["inside"] for z in zones.values() if "inside" in z} | {f"f-{n:02}" for n in range(8)}
    for _ in range(random.randrange(1, 6)):
        name = f"f-{random.randrange(FENCES):02}"
        what = random.random()
        if name not in fences or what < 0.4:
            fences[name] = _fence(name, int(name[2:]), random)
        elif what < 0.6 and name not in held:
            del fences[name]
        elif what < 0.8:
            fences[name]["properties"]["detection"] = _detection(random)
        else:
            fences[name]["properties"]["tags"] = _tags(int(name[2:]), random)
    if random.random() < 0.5:
        zone = zones[f"z-{random.randrange(ZONES)}"] if random.random() < 0.7 else None
        if zone is not None:
            zone["exit_after"] = random.choice(["10s", "20s", "40s"])
            zone["inside"] = random.choice(sorted(held))
    for name in random.sample(sorted(rules.keys() - {"draft"}), random.randrange(0, 6)):
        rules[name]["state"] = random.choice(["live", "live", "paused", "test"])
    return Town(dict(sorted(fences.items())), zones, town.zones_at, rules)


def _fence(name: str, n: int, random: Random) -> dict[str, Any]:
    east, north = random.uniform(-HALF_M, HALF_M), random.uniform(-HALF_M, HALF_M)
    properties: dict[str, Any] = {"tags": _tags(n, random), "timezone": TIMEZONES[n % len(TIMEZONES)]}
    if n % 7 < 3:
        properties["group"] = f"g-{n % 3}"
    if random.random() < 0.5:
        properties["detection"] = _detection(random)
    shape = n % 3
    if shape == 0:
        properties["radius_m"] = random.choice([60, 120, 250, 500])
        geometry: dict[str, Any] = {"type": "Point", "coordinates": _lng_lat(east, north)}
    elif shape == 1:
        geometry = {"type": "Polygon", "coordinates": [_ring(east, north, random)]}
    else:
        properties["buffer_m"] = random.choice([15, 30, 60])
        if n % 18 == 2:
            properties["tags"] = [*properties["tags"], "road"]
        turn = random.uniform(0, 2 * math.pi)
        line = [(east + r * math.cos(turn), north + r * math.sin(turn) + 30 * (r > 0)) for r in (-300, 0, 300)]
        geometry = {"type": "LineString", "coordinates": [_lng_lat(*p) for p in line]}
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


def _tags(n: int, random: Random) -> list[str]:
    first = TAGS[n % len(TAGS)]
    return sorted({first, random.choice(TAGS)}) if n >= 8 else [first]


def _detection(random: Random) -> dict[str, Any]:
    found: dict[str, Any] = random.choice(
        [
            {"preset": "instant"},
            {"enter_fixes": 3, "exit_fixes": 3},
            {"exit_after": "10s", "max_accuracy": "80m"},
            {"silence": "5m", "max_accuracy": "400m"},
            {"enter_fixes": 1, "exit_fixes": 1, "silence": "1h"},
        ]
    )
    return found


def _ring(east: float, north: float, random: Random) -> list[list[float]]:
    corners = random.randrange(3, 9)
    wide = random.choice([80, 150, 400])
    turns = [2 * math.pi * k / corners for k in range(corners)]
    points = [(east + wide * random.uniform(0.5, 1) * math.cos(a), north + wide * math.sin(a)) for a in turns]
    return [_lng_lat(*p) for p in [*points, points[0]]]


def _lng_lat(east: float, north: float) -> list[float]:
    lat, lng = at(east, north)
    return [round(lng, 7), round(lat, 7)]


def _rule(name: str, trigger: dict[str, Any], *audience: dict[str, Any], **more: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": name, "state": "live", "trigger": trigger, "audience": {"all": [CONSENT, *audience]}}
    return rule | {"actions": [{"push": {"template": "hello"}}]} | more


def _rules() -> list[dict[str, Any]]:
    quiet = {"from": "23:00", "to": "07:00", "timezone": "user"}
    promo = {"scope": "tag", "tag": "promo", "max": 4, "per": "day", "timezone": "user"}
    both = [{"push": {"template": "hello", "ttl": "30m"}}, {"audit": {"template": "hello"}}]
    gold = {"attribute": "tier", "in": ["gold", "silver"]}
    stores = {"not": {"inside": {"tag": "own-store"}}}

    def entered(**place: str) -> dict[str, Any]:
        return {"event": "entered", "place": place}

    def timer(at: str, **more: Any) -> dict[str, Any]:
        return {"event": "timer", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "at": at} | more

    shops = {"inside": {"tag": "shop"}}
    twice = {"any": [entered(id="f-00"), entered(tag="shop"), {"event": "exited", "place": {"group": "g-1"}}]}
    stay = {"event": "dwelled", "for": "5m", "place": {"tag": "station"}}
    bought = {"event": "purchase", "where": {"data.sku": ["a", "b"]}}
    often = {"event_count": {"type": "purchase", "within": "6h", "min": 2}}
    return [
        _rule("caps", entered(tag="shop"), tags=["promo"], quiet_hours=quiet, actions=both, priority=5,
              limits={"caps": [promo, {"scope": "all", "max": 6, "per": "6h"}]}),
        _rule("two-triggers", twice, tags=["promo"], limits={"cooldown": "none", "caps": [promo]}),
        _rule("stay", stay, gold, limits={"cooldown": "none", "caps": [{"scope": "rule", "max": 3, "per": "2h"}]}),
        _rule("long-stay", {"any": [stay | {"for": "15m"}, stay | {"place": {"tag": "shop"}}]}, state="test"),
        _rule("left", {"event": "exited", "place": {"tag": "park"}}, stores, max_accuracy="100m", actions=both),
        _rule("crossing", {"event": "crossed", "place": {"tag": "road"}},
              limits={"cooldown": {"per": "user", "of": "30m"}}, mocked="allow"),
        _rule("bought", bought, gold, often, limits={"cooldown": {"per": "user", "of": "1h"}},
              max_accuracy="40m"),
        _rule("evening", timer("18:30", **shops, seen_within="20m"), limits={"cooldown": "none"}, max_accuracy="40m"),
        _rule("two-timers", {"any": [timer("20:00", **shops), timer("20:00", inside={"tag": "rival"})]}),
        _rule("everybody", timer("12:00", timezone="Asia/Tokyo"), gold, quiet_hours=quiet),
        _rule("floor", entered(tag="floor"), delivery="at_most_once",
              limits={"cooldown": {"per": "user", "of": "10m"}}),
        _rule("floor-stay", {"event": "dwelled", "for": "2m", "place": {"tag": "floor"}}, actions=both),
        _rule("initial", entered(tag="own-store"), {"not": {"inside": {"tag": "rival"}}}, initial="fire",
              delivery="at_most_once"),
        _rule("window", entered(tag="station"), max_event_age="40m",
              schedule={"windows": [{"from": "18:00", "to": "21:00"}, {"from": "08:00", "to": "11:30"}]}),
        _rule("try", {"any": [entered(tag="rival"), {"event": "purchase"}]}, state="test"),
        _rule("asleep", entered(tag="shop"), state="paused", tags=["promo"]),
        _rule("draft", entered(tag="shop"), state="draft"),
    ]  # fmt: skip
