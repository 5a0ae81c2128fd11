"""Upkeep of the store while the process runs: what is older than it is kept goes, and erased people go from older
bytes.

Owns when this is done. Must not know how. It works in a thread, in small pieces, beside the commits.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import structlog

from engine.ports import StoreDamagedError, StoreError
from engine.snapshot import SnapshotError, erase

if TYPE_CHECKING:
    from connectors.clock import Clock
    from connectors.store_sqlite import SqliteStore
    from nearcast.live import Live

log = structlog.get_logger("nearcast.upkeep")

#: How often old things are dropped; an erasure does not wait for it.
EACH_S = 600.0
#: How long until it is looked again whether nobody reads the store any more.
READ_AGAIN_S = 5.0


class Upkeep:
    """The upkeep of one store. `ask` has it done soon, as after an erasure."""

    def __init__(self, store: SqliteStore, live: Live, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._clock = clock
        self._asked = asyncio.Event()
        self._waits = False

    def ask(self) -> None:
        """Do it soon."""
        self._asked.set()

    async def run(self) -> None:
        """Keep the store in order; never returns."""
        while True:
            try:
                await self._once()
            except (StoreError, SnapshotError) as error:
                log.warning("upkeep of the store failed, it is tried again", error=str(error))
            try:
                await asyncio.wait_for(self._asked.wait(), EACH_S)
            except TimeoutError:
                continue
            self._asked.clear()

    async def _once(self) -> None:
        if self._live.is_damaged:
            return  # to write into it would make it worse
        with contextlib.suppress(StoreDamagedError):  # who keeps the store has told of it, and takes nothing more
            await self._tidy()

    async def _tidy(self) -> None:
        for erasure in await asyncio.to_thread(self._store.erasures):
            await asyncio.to_thread(self._store.rewrite_erased, erasure, (), partial(erase, user=erasure.user))
            log.info("an erased user was taken out of older frames", up_to_frame=erasure.seq)
        await self._clean_log()
        keep = self._live.engine.site.settings.keep
        while await asyncio.to_thread(self._store.retain, self._clock.now_ms(), keep):
            await asyncio.sleep(0)
        await asyncio.to_thread(self._store.check)

    async def _clean_log(self) -> None:
        """An erasure is done once the log is empty; somebody who reads the store, as a backup does, keeps it full."""
        clean = await asyncio.to_thread(self._store.clean_log)
        if not clean:
            if not self._waits:
                log.warning("somebody reads the store, so its log may still hold what was erased: it is tried again")
            asyncio.get_running_loop().call_later(READ_AGAIN_S, self.ask)
        elif self._waits:
            log.info("what was erased is out of the log of the store")
        self._waits = not clean
