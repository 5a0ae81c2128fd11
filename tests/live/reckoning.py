"""Sites for the real process, and the reckoning of what it owes: from the oracle and SHA-256 alone."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from connectors.store_sqlite import SqliteStore
from engine.wire import Located, decode_frame
from tests.exact.oracle import transitions
from tests.live.sink import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.exact.oracle import Fence

#: A message to everybody who enters anything, and no limits.
HELLO = """\
id: hello
state: live
max_event_age: 2d
trigger: {event: entered, place: {tag: any}}
audience: {all: [{consent: location_marketing}]}
limits: {cooldown: none}
actions: [{push: {template: hello, ttl: 10m}}]
"""
#: What an enter, a stay and an exit may cause, with every kind of limit and of condition.
STAYS = f"""{HELLO}
---
id: stayed
state: live
max_event_age: 2d
trigger: {{event: dwelled, for: 1m, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}, {{attribute: tier, is: gold}}]}}
limits: {{cooldown: {{per: user, of: 1h}}, caps: [{{scope: all, max: 3, per: 1d}}]}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
---
id: left
state: live
max_event_age: 2d
trigger: {{event: exited, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}, {{event_count: {{type: purchase, within: 7d, min: 1}}}}]}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
"""
#: A circle of 100 m at Shinjuku, a point within it and one far from it.
PLACE = {
    "type": "Feature",
    "id": "shinjuku",
    "geometry": {"type": "Point", "coordinates": [139.700258, 35.690921]},
    "properties": {"radius_m": 100, "name": "Shinjuku", "tags": ["any"], "timezone": "Asia/Tokyo"},
}
IN = {"lat": 35.690921, "lng": 139.700258, "accuracy": 5.0}
OUT = {"lat": 35.60, "lng": 139.60, "accuracy": 5.0}


def write_site(
    folder: Path,
    fences: Sequence[Fence] = (),
    *,
    rules: str = HELLO,
    settings: str = "",
    sink: str | None = None,
    features: Sequence[dict[str, Any]] = (PLACE,),
) -> Path:
    """A site in a folder: the oracle's fences, or else features; with `sink`, its channel is a webhook."""
    for name in ("fences", "rules", "templates"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shapes = [_tagged(f.feature()) for f in fences] or list(features)
    (folder / "fences/all.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": shapes}))
    (folder / "rules/all.yaml").write_text(rules)
    (folder / "templates/hello.yaml").write_text('en: {title: "Hello", body: "You are at {place.name}"}\n')
    channel = "" if sink is None else f'channels: {{push: {{kind: webhook, url: "{sink}", secret: "{SECRET}"}}}}\n'
    (folder / "nearcast.yaml").write_text(settings + channel)
    return folder


def _tagged(feature: dict[str, Any]) -> dict[str, Any]:
    feature["properties"] |= {"tags": ["any"], "name": feature["id"]}
    return feature


def h(*parts: str) -> str:
    """The recipe of all ids."""
    hashed = sha256()
    for part in parts:
        hashed.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    return hashed.hexdigest()[:32]


def owed(pings: Iterable[dict[str, Any]], fences: Sequence[Fence], rule: str = "hello") -> set[str]:
    """The keys of the messages to devices that entered, each device its own user."""
    return {
        h(h(rule, device, h(h(device, place, str(time_ms)), "entered")), "0")
        for device, place, kind, time_ms in transitions(pings, fences)
        if kind == "entered"
    }


def kept(store: Path) -> set[tuple[str, int]]:
    """(device, time) of every ping in the journal."""
    found: set[tuple[str, int]] = set()
    with SqliteStore.open(store, readonly=True) as opened:
        for stored in opened.frames(0):
            for item in decode_frame(stored.data).inputs:
                if isinstance(item, Located):
                    devices = [item.strings[n] for n in item.column("device")]
                    found.update(zip(devices, item.column("time").tolist(), strict=True))
    return found


def pending(store: Path) -> set[str]:
    """The keys of deliveries that have not ended."""
    with SqliteStore.open(store, readonly=True) as opened:
        return {delivery.key for delivery in opened.pending()}


def jsonl(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]
