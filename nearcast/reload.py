"""Hot reload: edits of the site's files come into force while the process runs.

Owns noticing (SIGHUP, or files that changed and then stood still for a moment) and that a bad version changes nothing.
Must not know what an edit does to those present. Reading and compiling happen in a thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from connectors.intake import Unavailable
from engine.ports import StoreError
from nearcast.fault import InputFaultError
from nearcast.folder import Fingerprint, fingerprint, read_folder
from nearcast.next_site import read_next

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from connectors.metrics import Metrics
    from engine.site import Site
    from geo.mistake import Mistake


log = structlog.get_logger("nearcast.reload")

#: How often the files are looked at; a change counts once two looks see the same.
LOOK_S = 0.5
#: So many mistakes are named in the log; `nearcast check` names them all.
MISTAKES_LOGGED = 20


class Editable(Protocol):
    """Whoever brings versions of the site into force."""

    @property
    def site(self) -> Site:
        """The version in force."""

    async def edit(self, site: Site) -> None:
        """Bring a compiled version into force. Raises `Unavailable` or `StoreError` when that is not possible."""


class Reloader:
    """Watches one folder. `unfit` says what keeps a good version from running here: variables that are not set.

    `applied` is called with each version that came into force, before new pings meet it. `seen` is the folder's
    `fingerprint` from before its files were read at the start: what was edited since is noticed.
    """

    def __init__(
        self,
        path: Path,
        live: Editable,
        metrics: Metrics,
        applied: Callable[[Site], Awaitable[None]],
        *,
        unfit: Callable[[Site], list[Mistake]] = lambda _: [],
        seen: Fingerprint | None = None,
    ) -> None:
        self._path = path
        self._unfit = unfit
        self._live = live
        self._metrics = metrics
        self._applied = applied
        self._seen = seen
        self._asked = asyncio.Event()
        self._busy = asyncio.Lock()
        self._held: Site | None = None

    def ask(self) -> None:
        """Look now, whether or not anything seems to have changed: SIGHUP."""
        self._asked.set()

    async def watch(self) -> None:
        """Reload whenever the files change; never returns."""
        applied = seen = self._seen if self._seen is not None else await asyncio.to_thread(fingerprint, self._path)
        while True:
            try:
                await asyncio.wait_for(self._asked.wait(), LOOK_S)
            except TimeoutError:
                now = await asyncio.to_thread(fingerprint, self._path)
                changed, seen = now != applied and now == seen, now
                if not changed:
                    await self._try_again()
                    continue
            self._asked.clear()
            applied = seen
            await self.reload()

    async def reload(self) -> bool:
        """Read the files and bring them into force; False when they are bad, or could not be taken just now."""
        async with self._busy:
            self._held = None
            try:
                files = await asyncio.to_thread(read_folder, self._path)
            except InputFaultError as error:
                return self._refused(str(error))
            site, mistakes = await asyncio.to_thread(read_next, files, self._live.site.map)
            if site is None:
                return self.mistaken(mistakes)
            if unfit := self._unfit(site):
                return self.mistaken(unfit)
            return await self._bring(site)

    def hold(self, site: Site) -> None:
        """The store cannot take this version just now: it is brought into force once it can."""
        if self._held is None:
            self._refused("the store cannot commit just now, the edit comes into force once it can")
        self._held = site

    async def _try_again(self) -> None:
        async with self._busy:
            if self._held is not None:
                await self._bring(self._held)

    async def _bring(self, site: Site) -> bool:
        if site.version != self._live.site.version:
            try:
                await self._live.edit(site)
            except (Unavailable, StoreError):
                self.hold(site)
                return False
        self._held = None
        await self._applied(site)
        self._metrics.reloaded(good=True)
        log.info("site in force", version=site.version, fences=len(site.fences), rules=len(site.rules.rules))
        return True

    def mistaken(self, mistakes: list[Mistake]) -> bool:
        """The files are bad: name what is wrong in the log, and say in the metrics that an older version runs."""
        for mistake in mistakes[:MISTAKES_LOGGED]:
            log.error("mistake in the site", mistake=str(mistake))
        return self._refused(f"{len(mistakes)} mistakes, the version in force stays, see `nearcast check`")

    def _refused(self, why: str) -> bool:
        self._metrics.reloaded(good=False)
        log.error("reload refused", why=why)
        return False
