"""What breaks in the lab: each fault happens, is mended as a supervisor would, and gives the moment it happened.

Owns faults, and the check of what came twice. After each fault the caller waits until every shard is served again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import defaultdict
from typing import TYPE_CHECKING

from tests.cluster.lab import SESSION_S, Kill
from tests.live.process import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.cluster.lab import Lab, Role
    from tests.cluster.lab_load import Load

    Fault = Callable[[Lab, Load, random.Random], Awaitable[float]]

#: A supervisor's pause before it starts a process again.
AGAIN_S = 0.3
#: How much of its file a Redis loses that syncs once a second, when the power goes.
POWER_CUT_S = 1.0
OUTAGE_S = 60.0


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _again(lab: Lab, role: Role) -> float:
    """kill -9, and start again."""
    since_s = _now_s()
    await role.kill()
    await asyncio.sleep(AGAIN_S)
    if role in lab.dispatchers:
        lab.kills.append(Kill(_now_s(), await lab.unrecorded()))
    await lab.start(role)
    return since_s


async def kill_worker(lab: Lab, load: Load, rng: random.Random) -> float:
    """One of the workers."""
    return await _again(lab, rng.choice(lab.workers))


async def kill_gateway(lab: Lab, load: Load, rng: random.Random) -> float:
    """One of the gateways."""
    return await _again(lab, rng.choice(lab.gateways))


async def kill_dispatcher(lab: Lab, load: Load, rng: random.Random) -> float:
    """One of the dispatchers."""
    return await _again(lab, rng.choice(lab.dispatchers))


async def kill_redis(lab: Lab, load: Load, rng: random.Random) -> float:
    """Redis, whose file the system keeps."""
    since_s = _now_s()
    await asyncio.to_thread(lab.redis.kill)
    await asyncio.sleep(AGAIN_S)
    await asyncio.to_thread(lab.redis.start)
    return since_s


async def cut_redis_and_kill_worker(lab: Lab, load: Load, rng: random.Random) -> float:
    """A Redis that syncs once a second loses its last one, as when the power goes, and a worker dies with it."""
    [file] = (lab.redis.folder / "appendonlydir").glob("*.incr.aof")
    before = file.stat().st_size
    await asyncio.sleep(POWER_CUT_S)
    await until(lambda: file.stat().st_size > before, "something is written that the cut takes away", 60)
    since_s = _now_s()
    worker = rng.choice(lab.workers)
    await asyncio.gather(asyncio.to_thread(lab.redis.kill), worker.kill())
    with file.open("r+b") as opened:
        opened.truncate(before)
    await asyncio.sleep(AGAIN_S)
    await asyncio.to_thread(lab.redis.start)
    await lab.start(worker)
    return since_s


async def kill_broker(lab: Lab, load: Load, rng: random.Random) -> float:
    """The only broker."""
    since_s = _now_s()
    await asyncio.to_thread(lab.kafka.kill)
    await asyncio.sleep(AGAIN_S)
    await asyncio.to_thread(lab.kafka.start)
    return since_s


async def stop_broker_and_redis(lab: Lab, load: Load, rng: random.Random, down_s: float = OUTAGE_S) -> float:
    """Both servers end in good order and are away for a while."""
    since_s = _now_s()
    await asyncio.gather(asyncio.to_thread(lab.kafka.stop), asyncio.to_thread(lab.redis.stop))
    await asyncio.sleep(down_s)
    await asyncio.gather(asyncio.to_thread(lab.kafka.start), asyncio.to_thread(lab.redis.start))
    return since_s


async def add_and_remove_worker(lab: Lab, load: Load, rng: random.Random) -> float:
    """A third worker comes, takes its share, and is told to end."""
    added = lab.make("worker")
    since_s = _now_s()
    await lab.start(added)
    await load.served(since_s)
    ended_s = _now_s()
    assert await added.end(within_s=60) == 0, added.log_file.read_text()[-2000:]
    lab.workers.remove(added)
    return ended_s


async def stop_worker_past_its_session(lab: Lab, load: Load, rng: random.Random) -> float:
    """A worker stands still until its shards are somebody else's, then goes on: a zombie."""
    zombie = rng.choice(lab.workers)
    await lab.ready(*lab.workers)  # one that is about to be given shards has none that could be taken
    since_s = _now_s()
    zombie.tell(signal.SIGSTOP)
    await asyncio.sleep(SESSION_S + 1)
    await load.served(since_s)
    lines = len(zombie.all_lines())
    goes_s = _now_s()
    zombie.tell(signal.SIGCONT)
    await until(lambda: says_it_was_fenced(zombie, lines), f"{zombie.name} says that its shards were taken", 60)
    if not zombie.alive:
        await lab.start(zombie)
    return goes_s


def says_it_was_fenced(worker: Role, since_line: int) -> bool:
    """Whether its log tells that others had its shards meanwhile: at a fold in flight, or at the next rebalance."""
    told = ("another worker has the shard, this one leaves it alone", "shards taken")
    return any(line["event"] in told for line in worker.all_lines()[since_line:])


def repeats(lab: Lab) -> tuple[int, list[str]]:
    """How many keys were taken more than once as they may be, and what else came twice.

    They may with one body, when a dispatcher was killed between the first time and the record of it. Nothing else is
    a reason: a dispatcher that lives knows what it handed over, whatever store or broker went away or back meanwhile.
    """
    came = defaultdict(list)
    for arrival in lab.sink.got:
        came[arrival.key].append(arrival)
    twice = 0
    wrong = []
    for key, arrivals in came.items():
        if len({a.body for a in arrivals}) > 1:
            wrong.append(f"{key} came with two bodies")
        good = [a.at_s for a in arrivals if a.status < 300]
        for first_s, again_s in itertools.pairwise(good):
            if any(first_s <= kill.at_s <= again_s and key in kill.unrecorded for kill in lab.kills):
                twice += 1
            else:
                kills = [f"{kill.at_s - first_s:+.2f} s" for kill in lab.kills]
                wrong.append(f"{key} came again after {again_s - first_s:.2f} s; dispatchers killed: {kills}")
    return twice, wrong
