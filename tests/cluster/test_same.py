"""A cluster decides what one process decides: the same transitions and decisions, with the same ids."""

from __future__ import annotations

import json
import random
import shutil
import time
from typing import TYPE_CHECKING, Any

from tests.cluster.fleet import cluster_settings, fleet_of
from tests.exact import worlds
from tests.live.process import Process, at_rest, command, live, process_of
from tests.live.reckoning import STAYS, jsonl, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers

RULES = f"""{STAYS}
---
id: bought
state: live
max_event_age: 2d
trigger: {{event: purchase}}
audience: {{all: [{{consent: location_marketing}}, {{visits: {{place: {{tag: any}}, within: 7d, min: 1}}}}]}}
actions: [{{push: {{template: hello, ttl: 10m}}}}]
"""
#: What a decision is, but for when it was made.
SAME = ("key", "rule", "rule_version", "user", "device", "place", "occasion", "outcome", "reason", "clause")


def stream(rng: random.Random) -> tuple[list[Any], list[dict[str, Any]]]:
    """A small city, and what people in it do: pings in batches, events between."""
    fences = worlds.fences(1_500, rng)
    pings = worlds.walkers(60, 90, rng, int(time.time() * 1000) - 20 * 3_600_000)
    beacon = "gateway:door-1"
    for n in range(0, len(pings), 97):
        sighting = {"device": pings[n]["device"], "time": pings[n]["time"] + 100, "beacon": beacon, "rssi": -60}
        pings.insert(n + 1, sighting)
    return fences, pings


async def post_all(process: Process, pings: list[dict[str, Any]], rng: random.Random) -> None:
    """Users, then pings in batches of all sizes, with purchases between them."""
    for n in range(60):
        await process.change(f"d{n}", consent={"location_marketing": n % 5 != 0}, attributes={"tier": "gold"})
    start = number = 0
    while start < len(pings):
        size = rng.choice((1, 3, 30, 400, 900))
        await process.post(*pings[start : start + size])
        start, number = start + size, number + 1
        event = {"id": f"e{number}", "user": f"d{number % 60}", "type": "purchase", "time": pings[0]["time"]}
        status, told = await process.ask("POST", "/v1/events", json=[event])
        assert status == 202 and told["accepted"] == 1, told


def last_fixes(pings: list[dict[str, Any]]) -> dict[str, int]:
    last: dict[str, int] = {}
    for ping in pings:
        if "lat" in ping:
            last[ping["device"]] = max(ping["time"], last.get(ping["device"], 0))
    return last


async def of_run(site: Path, pings: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(transitions, decisions) of one process."""
    async with process_of(site) as process:
        await post_all(process, pings, random.Random(5))
        await at_rest(process)
        assert await process.end() == 0
    files = [site / f"{name}.out" for name in ("transitions", "decisions")]
    done = await command("replay", site, "--from-store", "--transitions", files[0], "--decisions", files[1])
    assert done.returncode == 0, done.stderr
    return jsonl(files[0]), jsonl(files[1])


def told(transitions: list[dict[str, Any]], last: dict[str, int]) -> dict[str, Any]:
    """Transitions by their ids, up to each device's last fix."""
    return {t["id"]: t for t in transitions if _ms(t["time"]) <= last[t["device"]]}


def made(decisions: list[dict[str, Any]], transitions: dict[str, Any]) -> dict[str, Any]:
    """Decisions by their keys: those of these transitions, and of events."""
    return {
        d["key"]: {name: d[name] for name in SAME}
        for d in decisions
        if d["device"] is None or d["occasion"]["id"] in transitions
    }


def _ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


@live(280)
async def test_a_cluster_of_two_workers_decides_what_one_process_decides(servers: Servers, tmp_path: Path) -> None:
    fences, pings = stream(random.Random(4))
    last = last_fixes(pings)
    async with sink_of() as sink:
        settings = "detection: {max_silence: 2h}\n" + cluster_settings(servers, "same")
        one = write_site(tmp_path / "one", fences, rules=RULES, settings=settings, sink=sink.url)
        (one / "beacons").mkdir()
        (one / "beacons/doors.yaml").write_text("- {id: door, tags: [any], beacons: ['gateway:door-1']}\n")
        many = tmp_path / "many"
        shutil.copytree(one, many)
        transitions, decisions = await of_run(one, pings)
        sent_by_one = sink.keys
        sink.got.clear()
        async with fleet_of(many, servers, "same") as fleet:
            await post_all(fleet.gateway, pings, random.Random(5))
            await fleet.folded()
            own_transitions = [json.loads(r.value) for r in await fleet.records("transitions")]
            kept = [await fleet.gateway.get(f"/v1/users/d{n}/decisions?limit=1000") for n in range(60)]
            for member in fleet.members.values():
                assert await member.end() == 0, member.name
        expected = told(transitions, last)
        assert len(expected) > 300 and {t["kind"] for t in expected.values()} == {"entered", "exited", "dwelled"}
        assert told(own_transitions, last) == expected
        reckoned = made(decisions, expected)
        assert {d["outcome"] for d in reckoned.values()} == {"send", "suppress"} and len(reckoned) > 300
        own = made([d for lines in kept for d in lines], expected)
        assert not [(own.get(key), d) for key, d in reckoned.items() if own.get(key) != d]
        assert own.keys() == reckoned.keys()
        assert sink.keys == sent_by_one and len(sink.taken) == len(sink.keys) and not sink.forged
