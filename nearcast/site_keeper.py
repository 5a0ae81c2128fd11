"""The site of a cluster: which version is wanted, compiled, wherever its files come from.

Owns noticing that another version is wanted, or that Redis is away, and having one wanted. Whoever notices an edit of
the files first has it wanted, for all. Must not know what is done with a site. Compiling happens in a thread.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from engine.ports import AwayError, StoreError
from geo.mistake import MistakesError
from nearcast.next_site import read_next

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from connectors.clock import Clock
    from connectors.redis_sites import RedisSites, Wanted
    from engine.site import Site
    from engine.site_map import SiteMap
    from geo.mistake import Mistake

log = structlog.get_logger("nearcast.site")

#: How often it is asked which version is wanted.
LOOK_S = 0.5


class SiteKeeper:
    """Keeps the wanted version at hand. `by` names this process in the log of others."""

    def __init__(self, sites: RedisSites, clock: Clock, by: str) -> None:
        self._sites = sites
        self._clock = clock
        self._by = by
        self._compiled: dict[str, Site] = {}
        self._wanted: Wanted | None = None
        self._compiling = asyncio.Lock()
        #: True while Redis did not answer when it was asked last: whoever has nothing else to ask it learns it here.
        self.away = False
        self.changed: list[Callable[[Site], Awaitable[None]]] = []

    @property
    def seq(self) -> int:
        """The number of the wanted version."""
        assert self._wanted is not None, "`start` comes first"
        return self._wanted.seq

    @property
    def site(self) -> Site:
        """The wanted version."""
        assert self._wanted is not None, "`start` comes first"
        return self._compiled[self._wanted.version]

    async def start(self, files: Mapping[str, bytes]) -> list[Mistake]:
        """Bring the files in force, unless an edit came after them; returns their mistakes when another version runs.

        Raises `MistakesError` when they are bad and no version is wanted yet, and `StoreError`.
        """
        site, mistakes = await asyncio.to_thread(read_next, files, None)
        wanted = await self._sites.wanted()
        if site is None and not wanted.seq:
            raise MistakesError(mistakes)
        if site is not None:
            await self._refuse_stranger(site, wanted)
            self._compiled[site.version] = site
            if site.version != wanted.version:
                if wanted.seq and await self._sites.is_known(site.version):
                    log.warning(
                        "the files here are of an older version than the one in force, which stays;"
                        " to go back to them edit one or send SIGHUP",
                        here=site.version, in_force=wanted.version, brought_by=wanted.by,
                    )  # fmt: skip
                else:
                    wanted = await self._want(site, wanted.version)
        await self._take(wanted)
        return mistakes

    async def edit(self, site: Site) -> None:
        """Have a compiled version wanted. Raises `StoreError`."""
        self._compiled[site.version] = site
        await self._take(await self._want(site, self.site.version))

    async def watch(self) -> None:
        """Notice when another version is wanted; never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                wanted = await self._sites.wanted()
                self.away = False
                if not wanted.seq:  # redis has forgotten all
                    wanted = await self._want(self.site, "")
                if wanted.seq > self.seq:
                    log.info("another version of the site is wanted", version=wanted.version, brought_by=wanted.by)
                    await self._take(wanted)
            except StoreError as error:
                if not self.away:
                    log.warning("the wanted version of the site is not known just now", error=str(error))
                self.away = isinstance(error, AwayError)
            except MistakesError as error:
                log.error("the wanted version of the site cannot be compiled here", error=str(error))

    async def compiled(self, version: str) -> Site:
        """A version, compiled. Raises `StoreError` when its files are gone."""
        async with self._compiling:
            found = self._compiled.get(version)
            if found is None:
                files = await self._sites.files(version)
                if files is None:
                    raise StoreError(
                        f"the files of version `{version}` of the site are gone from redis, start a worker on a folder"
                        " that holds them"
                    )
                site, mistakes = await asyncio.to_thread(partial(read_next, files, self._newest(), was_in_force=True))
                if site is None:
                    raise MistakesError(mistakes)
                found = self._compiled[version] = site
            return found

    def forget_others(self, versions: set[str]) -> None:
        """Let go of compiled versions but these and the wanted one."""
        self._compiled = {v: s for v, s in self._compiled.items() if v in versions or s is self.site}

    async def _refuse_stranger(self, site: Site, wanted: Wanted) -> None:
        """Two sites must not share a name: each would bring its own version in force again and again."""
        theirs = await self._sites.files(wanted.version) if wanted.seq and wanted.version != site.version else None
        if theirs and not theirs.items() & site.files.items():
            raise StoreError(
                f"the site in force under this `cluster.name`, brought by {wanted.by}, has no file in common with the"
                " one here: if they are two sites, choose another `cluster.name`; if all files were edited, put one of"
                " them back and edit it while a worker runs"
            )

    async def _want(self, site: Site, instead_of: str) -> Wanted:
        now_ms = self._clock.now_ms()
        return await self._sites.want(site.version, site.files, instead_of=instead_of, now_ms=now_ms, by=self._by)

    async def _take(self, wanted: Wanted) -> None:
        site = await self.compiled(wanted.version)
        self._wanted = wanted
        for call in self.changed:
            await call(site)

    def _newest(self) -> SiteMap | None:
        return self.site.map if self._wanted is not None else None
