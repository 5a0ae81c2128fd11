"""A crowd that posts as phones do: each device in its own order, and the same again until it was taken."""

from __future__ import annotations

import asyncio
import functools
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.live.process import START_S, until
from tests.live.reckoning import IN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.live.process import Process
    from tests.live.sink import Sink

STREAMS = 8
BATCH = 20


@dataclass
class Crowd:
    """Posts until all is taken, or until it is `gone`.

    `acked` has the pings answered 2xx, in order of each device; `refused` each other answer: status, headers.
    """

    process: Process
    per_s: float
    acked: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    gone: bool = False

    @asynccontextmanager
    async def posting(self, pings: Sequence[dict[str, Any]]) -> AsyncIterator[None]:
        """Post all beside what is done within; ends when all was taken, or at once when that fails."""
        task = asyncio.create_task(self.post(pings))
        try:
            yield
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def post(self, pings: Sequence[dict[str, Any]], patience_s: float = START_S) -> None:
        """Post all, in streams beside each other, at about `per_s` pings a second."""
        streams: list[list[dict[str, Any]]] = [[] for _ in range(STREAMS)]
        for ping in pings:
            streams[zlib.crc32(ping["device"].encode()) % STREAMS].append(ping)
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(self._stream(stream, patience_s))

    async def _stream(self, pings: list[dict[str, Any]], patience_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for start in range(0, len(pings), BATCH):
            await asyncio.sleep(due_s - loop.time())
            due_s = max(due_s, loop.time()) + BATCH * STREAMS / self.per_s  # what was missed is not made up for
            batch = pings[start : start + BATCH]
            await until(functools.partial(self._over_or_taken, batch), "a batch is taken", patience_s)
            if self.gone:
                return

    def _over_or_taken(self, batch: list[dict[str, Any]]) -> Any:
        return self.gone or self._taken(batch)

    async def _taken(self, batch: list[dict[str, Any]]) -> bool:
        try:
            async with self.process.http.post(self.process.url + "/v1/pings", json=batch) as response:
                status, headers = response.status, dict(response.headers)
                told = await response.json()
        except (aiohttp.ClientError, ConnectionError):
            return False
        if status != 202:
            self.refused.append((status, headers))
            assert status in (429, 503), (status, told)
            return False
        assert not told["rejected"], told
        self.acked += batch
        return True


async def two_waiting(process: Process, sink: Sink) -> None:
    """Two people agree and come to the place; returns once a message to each was tried, and none was taken."""
    await process.consent(["d-1", "d-2"])
    await process.post(*({"device": d, "time": process.now_ms(), **IN} for d in ("d-1", "d-2")))
    await until(lambda: len({a.key for a in sink.got}) == 2, "both are tried")
    assert not sink.taken
