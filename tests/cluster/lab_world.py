"""The lab's world: fences, four rules, walkers of two devices a person, and a probe for each shard.

Owns what is posted and the site it is posted to. The rules are chosen so that what they owe can be reckoned without the
product (`lab_reckoning`): whom two devices race for is told, who of them wins is not. Must not know processes.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shapely.geometry import box

from tests.exact import worlds
from tests.exact.oracle import Fence
from tests.live.reckoning import write_site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HOUR_MS = 3_600_000
#: Sends of the rule `scarce` to one person.
SCARCE_MAX = 3
#: Entering is told everybody (`hello`); leaving nobody (`left`), which shows that the transition was seen. `scarce` and
#: `once` have limits that two devices of one person race for.
RULES = f"""\
id: hello
state: live
max_event_age: 2d
trigger: {{event: entered, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}]}}
limits: {{cooldown: none}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
---
id: left
state: live
max_event_age: 2d
trigger: {{event: exited, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}, {{attribute: tier, is: gold}}]}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
---
id: scarce
state: live
max_event_age: 2d
trigger: {{event: entered, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}]}}
limits: {{cooldown: none, caps: [{{scope: rule, max: {SCARCE_MAX}, per: 7d}}]}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
---
id: once
state: live
max_event_age: 2d
trigger: {{event: entered, place: {{tag: any}}}}
audience: {{all: [{{consent: location_marketing}}]}}
limits: {{cooldown: {{per: user-place, of: 6d}}}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
"""
#: What is known of everybody.
KNOWN = {"consent": {"location_marketing": True}, "attributes": {"tier": "silver"}}
#: Where the probes go in and out, far from the walkers.
PROBED = Fence("probed", box(139.400, 35.400, 139.401, 35.401))
_IN, _OUT = {"lat": 35.4005, "lng": 139.4005}, {"lat": 35.39, "lng": 139.39}


@dataclass(frozen=True)
class World:
    """Fences, and the pings of walkers over the last twenty hours, in order of time."""

    fences: list[Fence]
    pings: list[dict[str, Any]]

    @property
    def users(self) -> list[str]:
        """Everybody who walks."""
        return sorted({ping["user"] for ping in self.pings})


def make_world(seed: int, now_ms: int, *, devices: int, steps: int, fences: int = 1_600) -> World:
    """A seeded world; `now_ms` is the machine's time. Each device makes `steps` pings, fewer where time runs out."""
    rng = random.Random(seed)
    made = [fence for fence in worlds.fences(fences, rng) if not fence.reach_m]
    walked = worlds.walkers(devices, steps, rng, now_ms - 20 * HOUR_MS)
    pings = [ping | {"user": user_of(ping["device"])} for ping in walked if ping["time"] < now_ms - HOUR_MS]
    return World([*made, PROBED], pings)


def user_of(device: str) -> str:
    """Two walking devices are one person; a probe is a person of its own."""
    return f"u{int(device[1:]) // 2}" if device.startswith("d") else f"u-{device}"


def write_lab_site(folder: Path, world: World, *, sink: str, settings: str = "", rules: str = RULES) -> Path:
    """The site of a world."""
    return write_site(
        folder, world.fences, rules=rules, settings="detection: {preset: instant}\n" + settings, sink=sink
    )


def users_file(path: Path, users: Sequence[str]) -> Path:
    """What `replay --users` loads: everybody consents."""
    lines = [json.dumps({"id": user, **KNOWN}) + "\n" for user in users]
    path.write_text("".join(lines))
    return path


@dataclass
class Probe:
    """A device of one shard that goes in and out of a fence, ping by ping, so that its shard is seen to be served.

    `posted_s` tells by the time of each ping that is in when it was first posted, by the loop's clock.
    """

    device: str
    shard: int
    posted_s: dict[int, float] = field(default_factory=dict)
    _last_ms: int = 0
    _is_in: bool = False

    @property
    def user(self) -> str:
        return user_of(self.device)

    def next_ping(self, now_ms: int, now_s: float) -> dict[str, Any]:
        """The next step, in or out."""
        self._last_ms = max(self._last_ms + 1, now_ms)
        self._is_in = not self._is_in
        if self._is_in:
            self.posted_s[self._last_ms] = now_s
        at = _IN if self._is_in else _OUT
        return {"device": self.device, "user": self.user, "time": self._last_ms, "accuracy": 5.0, **at}


def make_probes(shards: int, shard_of: Callable[[str], int]) -> list[Probe]:
    """A probe for each shard: the first names that fall into it."""
    found: dict[int, Probe] = {}
    for n in range(1_000 * shards):
        device = f"p-{n}"
        found.setdefault(shard_of(device), Probe(device, shard_of(device)))
        if len(found) == shards:
            return [found[shard] for shard in range(shards)]
    raise AssertionError(f"no names for some of {shards} shards: found {sorted(found)}")
