"""No fault of any process, broker or store loses a ping, a decision or a message, or sends one for nothing.

A steady load on a real Kafka and Redis; after the faults every set is compared with an independent reckoning.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import sys
import time
from typing import TYPE_CHECKING

import pytest

from connectors.kafka_topics import Names
from tests.cluster import lab_faults as faults
from tests.cluster.lab import Lab, lab_of, rng_of
from tests.cluster.lab_load import Load, under_load
from tests.cluster.lab_reckoning import compare, reckon
from tests.cluster.lab_world import World, make_world
from tests.live.process import live, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cluster.lab_faults import Fault

PER_S = 2_000
#: The same where the machine has other things to do.
CI_PER_S = 500
#: The machine's time when the world was made is read from the store of pings: they are of the last twenty hours.
DEVICES = 1_200


def world_for(seconds: float, seed: int, per_s: int) -> World:
    """A world that is not used up within so many seconds."""
    devices = DEVICES * per_s // PER_S
    steps = int(per_s * seconds / devices * 1.15) + 2
    return make_world(seed, time.time_ns() // 1_000_000, devices=devices, steps=steps)


async def break_it(lab: Lab, load: Load, rounds: Sequence[Fault], seed: int) -> list[float]:
    """One fault after the other, each mended before the next; how long the last shard waited each time."""
    rng, waits = rng_of(seed), []
    await load.served(asyncio.get_running_loop().time())
    for fault in rounds:
        await asyncio.sleep(rng.uniform(0.3, 1.5))
        since_s = await fault(lab, load, rng)
        waits.append(max((await load.served(since_s)).values()))
    return waits


async def check_all(lab: Lab, load: Load, *, forgets: bool) -> str:
    """Every set is what it must be; a line about how much that was.

    What a store forgets of who reached a limit may be decided anew, and let the limit be passed.
    """
    acked = load.crowd.acked
    due = reckon(acked, load.world.fences)
    assert len(due) > 200, "the world is empty: hardly anybody enters anything"
    decided: dict[str, dict[str, object]] = {}
    otherwise: set[str] = set()

    async def all_decided() -> bool:
        nonlocal decided, otherwise
        decided, otherwise = await lab.decided()
        return due.keys() <= decided.keys()

    try:
        await until(all_decided, "all that is due is decided", 60, 1.0)
        sends = sum(decision["outcome"] == "send" for decision in decided.values())
        await until(lambda: len(lab.sink.keys) >= sends, "every message arrives", 60)
    finally:
        wrong = compare(due, decided, lab.sink.keys, passes=forgets)
        lost = {(p["device"], p["time"]) for p in acked} - await lab.pings_kept()
        twice, odd = faults.repeats(lab)
        changed = {key for key in otherwise if not forgets or due[key].outcome is not None}
        dead = [dict(record.headers) async for record in lab.records(Names("nearcast").dead)]
        assert not (wrong or lost or odd or changed or dead or lab.sink.forged), (
            wrong, len(lost), odd[:5], len(changed), dead[:5]
        )  # fmt: skip
    anew = f", {len(otherwise)} decided anew" if otherwise else ""
    return f"{len(acked)} pings, {len(due)} decisions, {len(lab.sink.keys)} messages, {twice} came twice{anew}"


async def run_rounds(
    folder: Path, rounds: Sequence[Fault], seconds: float, seed: int, *, per_s: int = PER_S, forgets: bool = False
) -> None:
    """One after the other under load; with `forgets` on a Redis that syncs once a second, as the power cut needs it."""
    world = world_for(seconds, seed, per_s)
    async with lab_of(folder, world, sync="everysec" if forgets else "always") as lab:
        async with under_load(lab, world, per_s) as load:
            waits = await break_it(lab, load, rounds, seed)
        told = await check_all(lab, load, forgets=forgets)
    names = [fault.__name__ if not isinstance(fault, functools.partial) else fault.func.__name__ for fault in rounds]
    what = f"{len(rounds)} x {names[0]}" if len(set(names)) == 1 else "one of each"
    sys.stdout.write(f"\n{what}: {told}; served again p50 {statistics.median(waits):.2f} s, max {max(waits):.2f} s\n")


@live(280)
async def test_one_of_each_fault_loses_nothing_and_sends_nothing_for_nothing(tmp_path: Path) -> None:
    rounds: list[Fault] = [
        faults.kill_worker, faults.kill_gateway, faults.kill_dispatcher, faults.kill_redis, faults.kill_broker,
    ]  # fmt: skip
    await run_rounds(tmp_path, rounds, 240, seed=1, per_s=CI_PER_S)


@live(280)
async def test_a_redis_that_loses_its_last_second_makes_no_message_come_twice(tmp_path: Path) -> None:
    await run_rounds(tmp_path, [faults.cut_redis_and_kill_worker], 240, seed=2, per_s=CI_PER_S, forgets=True)


LONG: list[tuple[Fault, int, float]] = [
    (faults.kill_worker, 30, 20),
    (faults.kill_gateway, 10, 20),
    (faults.kill_dispatcher, 10, 20),
    (faults.kill_redis, 10, 15),
    (faults.cut_redis_and_kill_worker, 10, 20),
    (faults.kill_broker, 5, 40),
    (faults.stop_broker_and_redis, 5, 60),
    (faults.add_and_remove_worker, 10, 30),
    (faults.stop_worker_past_its_session, 5, 50),
]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("fault", "rounds", "each_s"), LONG, ids=[fault.__name__ for fault, _, _ in LONG])
@live(1790)
async def test_many_rounds_of_a_fault_lose_nothing(tmp_path: Path, fault: Fault, rounds: int, each_s: float) -> None:
    forgets = fault is faults.cut_redis_and_kill_worker
    await run_rounds(tmp_path, [fault] * rounds, rounds * each_s + 30, seed=rounds, forgets=forgets)
