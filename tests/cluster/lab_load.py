"""The lab's load: walkers at a steady rate, and a probe in each shard, until it is told to stop.

Owns what was posted and taken, and when each shard was seen to be served: a message of its probe came to the sink.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.cluster.lab import PARTITIONS
from tests.cluster.lab_world import Probe, World, make_probes
from tests.live.load import Crowd
from tests.live.process import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.lab import Lab

#: Between two pings of a probe: every second one gives a message.
PROBE_S = 0.1
#: How long a batch may be refused before a test fails: longer than the longest outage.
PATIENCE_S = 400.0


class Load:
    """What is posted to a lab, and what was seen of it."""

    def __init__(self, lab: Lab, world: World, per_s: float) -> None:
        self.lab, self.world = lab, world
        self.crowd = Crowd(lab, per_s)  # type: ignore[arg-type]
        self.probes = make_probes(PARTITIONS, lab.shard_of)
        self.ran_out = False
        self._by_device = {probe.device: probe for probe in self.probes}
        self._served: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self._read = 0

    @property
    def users(self) -> list[str]:
        """Everybody who walks or probes."""
        return [*self.world.users, *(probe.user for probe in self.probes)]

    async def walk(self) -> None:
        await self.crowd.post(self.world.pings, PATIENCE_S)
        self.ran_out = not self.crowd.gone

    async def probe(self, probe: Probe) -> None:
        loop = asyncio.get_running_loop()
        while not self.crowd.gone:
            ping = probe.next_ping(self.lab.gateways[0].now_ms(), loop.time())
            await self.crowd.post([ping], PATIENCE_S)
            await asyncio.sleep(PROBE_S)

    async def served(self, since_s: float, within_s: float = 240.0) -> dict[int, float]:
        """Wait until each shard has told of a ping that was posted after `since_s`; how long after that it was told."""
        done = await until(lambda: self._all_served(since_s), "each shard is served again", within_s, 0.05)
        found: dict[int, float] = done
        return found

    def _all_served(self, since_s: float) -> dict[int, float] | None:
        self._look()
        found = {}
        for shard, each in self._served.items():
            later = [at_s - since_s for posted_s, at_s in each if posted_s > since_s]
            if later:
                found[shard] = min(later)
        return found if len(found) == PARTITIONS else None

    def _look(self) -> None:
        """Read what came to the sink since the last look."""
        got = self.lab.sink.got
        for arrival in got[self._read :]:
            data = arrival.data
            probe = self._by_device.get(data["device"])
            if probe is not None and data["rule"] == "hello":
                posted_s = probe.posted_s.get(instant_ms(data["occasion"]["time"]))
                if posted_s is not None:
                    self._served[probe.shard].append((posted_s, arrival.at_s))
        self._read = len(got)


def instant_ms(text: str) -> int:
    """An RFC 3339 instant in epoch milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@asynccontextmanager
async def under_load(lab: Lab, world: World, per_s: float = 2_000.0) -> AsyncIterator[Load]:
    """Tell the users, then post beside what is done within; at its end the last requests are waited for."""
    load = Load(lab, world, per_s)
    await lab.tell_users(load.users)
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(load.walk())]
    tasks += [asyncio.create_task(load.probe(probe)) for probe in load.probes]
    try:
        yield load
        assert not load.ran_out, "the world is too small: all was posted before the end"
        load.crowd.gone = True
        await asyncio.gather(*tasks)
    finally:
        load.crowd.gone = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
