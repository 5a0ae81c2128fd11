"""What breaks in the lab: each fault happens, is mended as a supervisor would, and gives the moment it happened.

Owns faults, and the check of what came twice. After each fault the caller waits until every shard is served again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections import Counter, defaultdict
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


async def _note(lab: Lab, what: str) -> None:
    """Note that this was killed, and what was not recorded by then."""
    unrecorded = await lab.unrecorded()
    lab.kills.append(Kill(_now_s(), what, unrecorded))


async def _again(lab: Lab, role: Role) -> float:
    """kill -9, and start again."""
    since_s = _now_s()
    await role.kill()
    unrecorded = await lab.unrecorded() if role in lab.dispatchers else frozenset()
    lab.kills.append(Kill(_now_s(), role.role, unrecorded))
    await asyncio.sleep(AGAIN_S)
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
    await _note(lab, "redis")
    return since_s


async def cut_redis_and_kill_worker(lab: Lab, load: Load, rng: random.Random) -> float:
    """Redis loses the last second of its file, as when the power goes, and a worker dies with it."""
    [file] = (lab.redis.folder / "appendonlydir").glob("*.incr.aof")
    before = file.stat().st_size
    await asyncio.sleep(POWER_CUT_S)
    since_s = _now_s()
    worker = rng.choice(lab.workers)
    await asyncio.gather(asyncio.to_thread(lab.redis.kill), worker.kill())
    assert file.stat().st_size > before, "nothing was written within a second: the cut would cut nothing"
    with file.open("r+b") as opened:
        opened.truncate(before)
    await asyncio.sleep(AGAIN_S)
    await asyncio.to_thread(lab.redis.start)
    await _note(lab, "redis, its last second")
    await lab.start(worker)
    return since_s


async def kill_broker(lab: Lab, load: Load, rng: random.Random) -> float:
    """The only broker."""
    since_s = _now_s()
    await _note(lab, "broker")
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
    await _note(lab, "broker and redis")
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


def repeats(lab: Lab) -> tuple[Counter[str], list[str]]:
    """The keys that were taken more than once, counted by what was killed between, and what is wrong with them.

    Right is: with one body, and something was killed since the first time before that was recorded.
    """
    came = defaultdict(list)
    for arrival in lab.sink.got:
        came[arrival.key].append(arrival)
    twice: Counter[str] = Counter()
    wrong = []
    for key, arrivals in came.items():
        if len({a.body for a in arrivals}) > 1:
            wrong.append(f"{key} came with two bodies")
        good = [a.at_s for a in arrivals if a.status < 300]
        for first_s, again_s in itertools.pairwise(good):
            cut_off = [k.what for k in lab.kills if first_s <= k.at_s <= again_s and key in k.unrecorded]
            twice[cut_off[0] if cut_off else "nothing"] += 1
            if not cut_off:
                between = [f"{k.what} {k.at_s - first_s:+.2f} s" for k in lab.kills if abs(k.at_s - first_s) < 20]
                wrong.append(f"{key} came again after {again_s - first_s:.2f} s, and was recorded; {between}")
    return twice, wrong
