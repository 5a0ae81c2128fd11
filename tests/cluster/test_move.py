"""A site that moves from `run` to a cluster half-way through a crowd's day: all goes on as it would have."""

from __future__ import annotations

import json
import random
import shutil
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from tests.cluster.fleet import cluster_settings, fleet_of, redis_command
from tests.cluster.test_same import RULES, last_fixes, made, told
from tests.exact import worlds
from tests.live.process import at_rest, command, live, nearcast, process_of
from tests.live.reckoning import IN, jsonl, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers
    from tests.live.process import Process

PEOPLE = 40
USERS = [name for n in range(PEOPLE) for name in (f"d{n}", f"u{n}")]
BATCH = 300
#: Between two fixes of a phone: longer than a move takes, since timers go on meanwhile.
STEP_MS = 120_000
T0_MS = int(time.time() * 1000) - 20 * 3_600_000
DOORS = "- {id: door, tags: [any], beacons: ['gateway:door-1']}\n"

Ping = dict[str, Any]


def stream(rng: random.Random) -> tuple[list[Any], list[Ping]]:
    """A small city, and what people do in it; a third of the pings name no user, and some are heard at a door."""
    fences = worlds.fences(1_500, rng)
    pings: list[Ping] = []
    for n, ping in enumerate(worlds.walkers(PEOPLE, 60, rng, T0_MS, step_ms=STEP_MS)):
        pings.append(ping | {"user": f"u{ping['device'][1:]}"} if n % 3 else ping)
        if n % 41 == 0:
            for later_ms in (100, 1_100):
                heard = {"device": ping["device"], "time": ping["time"] + later_ms, "rssi": -60}
                pings.append(heard | {"beacon": "gateway:door-1"})
    return fences, pings


async def begin(process: Process) -> None:
    for n, user in enumerate(USERS):
        await process.change(user, consent={"location_marketing": n % 7 != 0}, attributes={"tier": "gold"})


async def post(process: Process, pings: list[Ping], first: int) -> None:
    """Pings in batches, with a purchase after each, and with the one that came first of all once more."""
    for number in range(first, first + len(pings), BATCH):
        await process.post(*pings[number - first : number - first + BATCH])
        events = [
            {"id": f"e{n}", "user": USERS[n % len(USERS)], "type": "purchase", "time": T0_MS}
            for n in dict.fromkeys((0, number // BATCH))
        ]
        status, told = await process.ask("POST", "/v1/events", json=events)
        assert (status, told["duplicate"]) == (202, int(number > 0)), told


async def of_store(site: Path) -> tuple[list[Ping], list[Ping]]:
    """(transitions, decisions) that a store was told and made."""
    files = [site.with_name(f"{site.name}.{name}") for name in ("transitions", "decisions")]
    done = await command("replay", site, "--from-store", "--transitions", files[0], "--decisions", files[1])
    assert done.returncode == 0, done.stderr
    return jsonl(files[0]), jsonl(files[1])


async def present(process: Process, places: list[str]) -> set[tuple[str, ...]]:
    """Who is where since when."""
    found = [(place, line) for place in places for line in await process.get(f"/v1/places/{place}/present")]
    return {(place, line["device"], line["user"], line["since"]) for place, line in found}


async def moved(site: Path, to: str) -> None:
    """Move; something must be on its way."""
    done = await command("move", site, "--to", to)
    assert done.returncode == 0 and f"moved {PEOPLE} devices" in done.stderr, done.stderr
    assert "pending, into" in done.stderr and " 0 of them pending" not in done.stderr, done.stderr


@live(290)
async def test_what_is_told_and_decided_goes_on_in_the_cluster_and_back_as_it_would_have(
    servers: Servers, tmp_path: Path
) -> None:
    fences, pings = stream(random.Random(11))
    third, last = len(pings) // BATCH // 3 * BATCH, last_fixes(pings)
    async with sink_of() as whole, sink_of() as sink:
        settings = "detection: {max_silence: 2h}\n" + cluster_settings(servers, "move")
        one = write_site(tmp_path / "one", fences, rules=RULES, settings=settings, sink=whole.url)
        site = write_site(tmp_path / "site", fences, rules=RULES, settings=settings, sink=sink.url)
        for folder in (one, site):
            (folder / "beacons").mkdir()
            (folder / "beacons/doors.yaml").write_text(DOORS)
        async with process_of(one) as process:
            await begin(process)
            await post(process, pings, 0)
            await at_rest(process)
            assert await process.end() == 0
        transitions, decisions = await of_store(one)
        places = sorted({t["place"] for t in transitions})

        async with process_of(site) as process:
            await begin(process)
            await post(process, pings[: third - BATCH], 0)
            await at_rest(process)
            sink.status = lambda: 503  # what is decided from here on waits, and moves
            await post(process, pings[third - BATCH : third], third - BATCH)
            there = await present(process, places)
            assert await process.end() == 0
        own_transitions, first_decisions = await of_store(site)
        done = await command("worker", site, "--create-topics")
        assert done.returncode == 0, done.stderr
        await moved(site, "cluster")
        (site / "var").rename(tmp_path / "before")

        sink.status = lambda: 204
        async with fleet_of(site, servers, "move") as fleet:
            still = await present(fleet.gateway, places)  # timers rang meanwhile, but nobody entered anew
            assert still <= there and still
            await post(fleet.gateway, pings[third : 2 * third - BATCH], third)
            await fleet.folded()
            sink.status = lambda: 503
            await post(fleet.gateway, pings[2 * third - BATCH : 2 * third], 2 * third - BATCH)
            await fleet.worked()
            there = await present(fleet.gateway, places)
            in_use = await command("move", site, "--to", "run")
            assert in_use.returncode == 1 and "end all gateways, workers and dispatchers" in in_use.stderr
            for member in fleet.members.values():
                assert await member.end() == 0, member.name
            own_transitions += [json.loads(r.value) for r in await fleet.records("transitions")]
        await moved(site, "run")

        sink.status = lambda: 204
        async with process_of(site) as process:
            still = await present(process, places)
            assert still <= there and still
            await post(process, pings[2 * third :], 2 * third)
            await at_rest(process)
            kept = [await process.get(f"/v1/users/{user}/decisions?limit=1000") for user in USERS]
            assert await process.end() == 0
        own_transitions += (await of_store(site))[0]
        expected = told(transitions, last)
        assert {t["kind"] for t in expected.values()} == {"entered", "exited", "dwelled"} and len(expected) > 100
        assert told(own_transitions, last) == expected
        reckoned, before = made(decisions, expected), made(first_decisions, expected)
        own = made([d for lines in kept for d in lines], expected)
        assert not [(own.get(key), d) for key, d in reckoned.items() if own.get(key) != d]
        assert own.keys() == reckoned.keys()
        assert {"sent", "cooldown", "consent"} <= {d["reason"] for key, d in own.items() if key not in before}
        assert sink.keys == whole.keys and len(sink.taken) == len(sink.keys) and not sink.forged


async def write(servers: Servers, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers.kafka.brokers)
    await producer.start()
    await producer.send_and_wait(topic, value)
    await producer.stop()


def refused(*words: str | Path) -> str:
    """The last line of a command that must not do it."""
    done = nearcast(*words)
    assert done.returncode == 1 and "Traceback" not in done.stderr, (done.returncode, done.stderr)
    return done.stderr.strip().splitlines()[-1]


@live(200)
async def test_what_would_lose_something_is_not_moved(servers: Servers, tmp_path: Path) -> None:
    lonely = write_site(tmp_path / "lonely")
    assert "names no `cluster` to move to" in refused("move", lonely, "--to", "cluster")
    site = write_site(tmp_path / "site", settings=cluster_settings(servers, "new"))
    assert "is not there: nothing is to be moved" in refused("move", site, "--to", "cluster")
    async with process_of(site) as process:
        await process.consent(["d"])
        await process.post({"device": "d", "time": process.now_ms(), **IN})
        done = await command("move", site, "--to", "cluster")
        assert done.returncode == 1 and "is in use by process" in done.stderr, done.stderr
        assert await process.end() == 0
    assert "`nearcast worker SITE --create-topics`" in refused("move", site, "--to", "cluster")
    assert nearcast("worker", site, "--create-topics").returncode == 0
    store = (site / "var/nearcast.db").read_bytes()
    assert nearcast("move", site, "--to", "cluster").returncode == 0
    assert (site / "var/nearcast.db").read_bytes() == store
    assert "the cluster `new` has begun" in refused("move", site, "--to", "cluster")
    explained = nearcast("explain", site, "--user", "d")
    assert "hello  entered shinjuku  sent" in explained.stdout
    assert "is there already, move it away" in refused("move", site, "--to", "run")
    (site / "var").rename(tmp_path / "var")
    assert nearcast("move", site, "--to", "run").returncode == 0
    assert [f.name for f in (site / "var").iterdir()] == ["nearcast.db"]
    assert nearcast("explain", site, "--user", "d", "--from-store").stdout == explained.stdout
    shutil.rmtree(site / "var")
    await write(servers, "new.pings", b"what no worker has read")
    assert "start workers, without gateways, until" in refused("move", site, "--to", "run")
    assert not list((site / "var").iterdir())  # half a store is none
    redis_command(servers, "HSET", "{new.sites}:cluster", "moving", "1")  # as a move that was cut off leaves it
    assert "did not come to its end" in refused("worker", site, "--listen", "127.0.0.1:0")
    assert nearcast("move", site, "--to", "elsewhere").returncode == 2
