"""No ping answered 2xx is lost, nor a message that it makes due: not by kill -9, not by a full disk."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.exact import worlds
from tests.live.disk import fill, small_disk
from tests.live.load import Crowd
from tests.live.process import Process, at_rest, command, live, process_of, until
from tests.live.reckoning import h, jsonl, kept, owed, pending, write_site
from tests.live.sink import Sink, sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.exact.oracle import Fence

PER_S = 2_000.0
HOUR_MS = 3_600_000


def site_of(folder: Path, rng: random.Random, sink: Sink) -> tuple[Path, list[Fence]]:
    """A site of polygons (the oracle is quick with those) that are entered by a fix in them."""
    fences = [f for f in worlds.fences(1_600, rng) if not f.reach_m]
    return write_site(folder / "site", fences, settings="detection: {preset: instant}\n", sink=sink.url), fences


def world(rng: random.Random, now_ms: int, *, steps: int, devices: int = 300) -> list[dict[str, Any]]:
    """Walkers of the last twenty hours."""
    pings = worlds.walkers(devices, steps, rng, now_ms - 20 * HOUR_MS)
    return [ping for ping in pings if ping["time"] < now_ms - HOUR_MS]


async def settled(process: Process, sink: Sink, due: set[str]) -> None:
    """Wait until everything due came, and nothing waits any more."""
    await until(lambda: due <= sink.keys, "every message due arrives", 60)
    await at_rest(process)


async def check_against_the_store(process: Process, sink: Sink, crowd: Crowd, fences: list[Fence]) -> set[str]:
    """What was acknowledged is kept, what is due came, and a replay of the store decides the very same."""
    due = owed(crowd.acked, fences)
    assert len(due) > 50, "the world is empty: hardly anybody enters anything"
    await settled(process, sink, due)
    assert await process.end() == 0
    assert {(p["device"], p["time"]) for p in crowd.acked} <= kept(process.store)
    assert sink.keys == due
    assert not sink.forged
    out = process.site / "decisions.out"
    done = await command("replay", process.site, "--from-store", "--decisions", out, "--json")
    assert done.returncode == 0, done.stderr
    assert {h(d["key"], "0") for d in jsonl(out) if d["outcome"] == "send"} == due
    return due


def check_repeats(sink: Sink, open_at_kill: list[tuple[float, set[str]]]) -> None:
    """A key that was taken comes again only if its success was not yet recorded at a kill; always with one body."""
    came = defaultdict(list)
    for arrival in sink.got:
        came[arrival.key].append(arrival)
    for key, arrivals in came.items():
        assert len({a.body for a in arrivals}) == 1, f"{key} came with two bodies"
        good = [a for a in arrivals if a.status < 300]
        for first, again in itertools.pairwise(good):
            kills = [at for at, keys in open_at_kill if first.at_s <= at <= again.at_s and key in keys]
            assert kills, f"{key} came again after a success that no kill cut off from its record"
            assert kills[0] - first.at_s < 2.0, f"{key} was still not recorded {kills[0] - first.at_s:.1f} s after it"


async def kill_again_and_again(folder: Path, rounds: int) -> None:
    rng = random.Random(5)
    async with sink_of(lambda: 503 if rng.random() < 0.2 else 204) as sink:
        site, fences = site_of(folder, rng, sink)
        async with process_of(site) as process:
            pings = world(rng, process.now_ms(), steps=14 * rounds)
            await process.consent(sorted({p["device"] for p in pings}))
            crowd, open_at_kill = Crowd(process, PER_S), []
            async with crowd.posting(pings):
                for _ in range(rounds):
                    await asyncio.sleep(rng.uniform(0.05, 0.6))
                    await process.kill()
                    open_at_kill.append((asyncio.get_running_loop().time(), pending(process.store)))
                    await process.start()
            await check_against_the_store(process, sink, crowd, fences)
            check_repeats(sink, open_at_kill)


@live()
async def test_five_kills_under_load_lose_nothing_and_repeat_only_what_was_in_flight(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, 5)


@pytest.mark.long
@pytest.mark.timeout(1200)
@live(1100)
async def test_fifty_kills_under_load_lose_nothing_and_repeat_only_what_was_in_flight(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, 50)


async def fill_again_and_again(folder: Path, rounds: int) -> None:
    rng = random.Random(7)
    async with sink_of(lambda: 503 if rng.random() < 0.2 else 204) as sink:
        site, fences = site_of(folder, rng, sink)
        with small_disk(site / "var", 64 + 2 * rounds) as disk:
            async with process_of(site) as process:
                pings = world(rng, process.now_ms(), steps=40 * rounds)
                await process.consent(sorted({p["device"] for p in pings}))
                crowd = Crowd(process, PER_S)
                async with crowd.posting(pings):
                    for _ in range(rounds):
                        await until_the_disk_is_full_and_free_again(process, sink, crowd, disk / "filler")
                    crowd.gone = True
                assert len(process.lines("ready")) == 1, "it was started again"
                due = await check_against_the_store(process, sink, crowd, fences)
                assert len(sink.taken) == len(due), "something was sent twice"


@live()
async def test_a_full_disk_is_told_at_once_and_nothing_is_lost_when_space_returns(tmp_path: Path) -> None:
    await fill_again_and_again(tmp_path, 5)


@pytest.mark.long
@pytest.mark.timeout(1800)
@live(1700)
async def test_a_disk_that_is_full_fifty_times_loses_nothing(tmp_path: Path) -> None:
    await fill_again_and_again(tmp_path, 50)


async def until_the_disk_is_full_and_free_again(process: Process, sink: Sink, crowd: Crowd, filler: Path) -> None:
    """Fill the disk under load until that shows, free it, and see pings taken again."""
    fill(filler)
    crowd.refused.clear()
    await until(lambda: crowd.refused, "that nothing is taken any more is told")
    assert all(status == 503 and "Retry-After" in headers for status, headers in crowd.refused)
    assert (await process.ask("GET", "/readyz"))[0] == 503
    assert (await process.ask("GET", "/healthz"))[0] == 200
    await until(lambda: sink.open == 0, "the attempts under way land")
    acked, sent, refused = len(crowd.acked), len(sink.got), len(crowd.refused)
    await until(lambda: len(crowd.refused) >= refused + 50, "it goes on refusing")
    assert len(crowd.acked) == acked, "something was taken that cannot have been kept"
    assert len(sink.got) == sent, "an attempt began while nothing could be recorded"
    filler.unlink()
    await until(process.is_ready, "it takes pings again", 5)
    await until(lambda: len(crowd.acked) > acked, "pings are taken again")
