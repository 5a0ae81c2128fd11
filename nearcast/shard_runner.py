"""The life of one shard on a worker: it is given and taken, brought records, ticked, and waits while a store is away.

Owns when the shard is loaded and folded, its ticks, and the records that bring a new version of the site into it. Must
not know what a fold does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from engine.ports import StoreError
from engine.wire import Edited, encode_frame
from nearcast.shard import LostError, UnfitError

if TYPE_CHECKING:
    from connectors.kafka_reader import Record
    from nearcast.shard import Shard
    from nearcast.shard_parts import Parts

log = structlog.get_logger("nearcast.shard")

#: So many records may wait to be folded; then whoever brings them waits.
QUEUE_MAX: Final = 2_000
#: So many are folded in one go.
GROUP_MAX: Final = 200
#: A shard that another worker stored is left alone for so long, unless it is given to this one anew.
ALONE_S: Final = 10.0
#: Pauses while a store is away.
PAUSE_S_MIN: Final = 0.1
PAUSE_S_MAX: Final = 1.0


class ShardRunner:
    """Runs one shard while this worker has it. `unfit` is told what no waiting mends."""

    def __init__(self, shard: Shard, parts: Parts) -> None:
        self.shard = shard
        self.waits = True
        self.moved_s = parts.clock.monotonic_s()
        self.unfit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parts = parts
        self._queue: deque[Record] = deque()
        self._given = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._behind = False
        self._ticked = -1
        self._tick_from_ms = 0
        self._brought_seq = 0

    @property
    def given(self) -> bool:
        """Whether this worker has the shard."""
        return self._given.is_set()

    def give(self) -> None:
        """This worker has the shard from now on."""
        self.waits = True
        self.moved_s = self._parts.clock.monotonic_s()
        self._given.set()
        self._wake.set()

    async def take(self, within_s: float) -> None:
        """This worker loses the shard: what is being folded may be ended for so long."""
        self._given.clear()
        self._queue.clear()
        self._room.set()
        self._wake.set()
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("a fold did not end before the shard was taken", shard=self.shard.number)

    async def feed(self, record: Record) -> None:
        """Bring a record; waits while too many wait already."""
        while len(self._queue) >= QUEUE_MAX and self.given:
            self._room.clear()
            await self._room.wait()
        if self.given:
            self._queue.append(record)
            self._wake.set()

    def lag(self, end: int) -> int:
        """How many records before offset `end` are not folded. Those that nobody brings are fetched."""
        lag = max(0, end - 1 - self.shard.offset)
        if lag and not self._queue and self.shard.loaded:
            self._behind = True
            self._wake.set()
        return lag

    def look(self) -> None:
        """Look whether there is something to do: another version of the site is wanted."""
        self._wake.set()

    async def run(self) -> None:
        """Run the shard; never returns."""
        pause_s = PAUSE_S_MIN
        while True:
            self._idle.set()
            await self._given.wait()
            self._idle.clear()
            try:
                await self._turn()
                pause_s = PAUSE_S_MIN
            except UnfitError as error:
                self._fail(error)
                return
            except LostError as error:
                log.warning("another worker has the shard, this one leaves it alone", why=str(error))
                await self._leave_alone()
            except StoreError as error:
                if not self.waits:
                    log.warning("a shard waits", shard=self.shard.number, why=str(error))
                self.waits = True
                self._idle.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _turn(self) -> None:
        """Whatever is to be done next, and a wait for it."""
        shard = self.shard
        if self.waits:
            if not await shard.is_current():
                await shard.load()
                self._ticked, self._brought_seq = -1, 0
            await shard.catch_up()
            self.waits = False
            self._moved()
            log.info("shard is served", shard=shard.number, offset=shard.offset, devices=shard.devices)
        await self._until_work()
        if not self.given:
            return
        if self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_MAX))]
            self._room.set()
            await shard.fold(group)
            self._moved()
        elif self._behind:
            self._behind = False
            await shard.catch_up()
            self._moved()
        await self._bring_site()
        await self._tick()

    def _moved(self) -> None:
        self.moved_s = self._parts.clock.monotonic_s()

    async def _until_work(self) -> None:
        """Wait until there is something to do, and for more records where many come."""
        if not self._queue:
            await self._until_told()
        if 0 < len(self._queue) < GROUP_MAX:
            await self._parts.beat.wait()

    async def _until_told(self) -> None:
        """Wait until a record comes, a timer is due, or something else is to be done."""
        self._wake.clear()
        self._idle.set()
        due_ms = self.shard.due_ms()
        wait_s = None
        if due_ms is not None and self._ticked <= self.shard.offset:
            wait_s = max(0, max(due_ms, self._tick_from_ms) - self._parts.clock.now_ms()) / 1000 + 0.001
        try:
            async with asyncio.timeout(None if wait_s is None else min(wait_s, 3_600.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._idle.clear()

    async def _tick(self) -> None:
        """When a timer is due, write a tick: it fires when that comes back, for every fold of the shard alike."""
        due_ms, now_ms = self.shard.due_ms(), self._parts.clock.now_ms()
        if due_ms is None or max(due_ms, self._tick_from_ms) > now_ms or self._ticked > self.shard.offset:
            return
        written = await self._parts.writer.write(
            self._parts.names.pings, encode_frame(now_ms, ()), partition=self.shard.number
        )
        self._ticked = written.offset
        self._tick_from_ms = now_ms + max(0, due_ms - written.time_ms)  # the broker's clock may be behind ours

    async def _bring_site(self) -> None:
        """When another version of the site is wanted, write it into the shard: it is in force from that record on."""
        sites = self._parts.sites
        if sites.seq <= max(self.shard.seq, self._brought_seq):
            return
        edited = Edited(sites.site.version, {}, sites.seq)
        frame = encode_frame(self._parts.clock.now_ms(), (edited,))
        await self._parts.writer.write(self._parts.names.pings, frame, partition=self.shard.number)
        self._brought_seq = edited.seq

    async def _leave_alone(self) -> None:
        self.shard.drop()
        self._queue.clear()
        self._room.set()
        self.waits = True
        self._idle.set()
        self._wake.clear()
        try:
            async with asyncio.timeout(ALONE_S):
                await self._wake.wait()
        except TimeoutError:
            return

    def _fail(self, error: UnfitError) -> None:
        if not self.unfit.done():
            self.unfit.set_exception(error)
