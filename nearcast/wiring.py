"""The wiring of a running process: which parts there are, who is given whom, and the order in which they start and end.

The only file that knows all parts. Owns their life. Must not know what any of them does.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from connectors.dispatch import Dispatcher
from connectors.http_api import HttpServer, make_app
from connectors.http_settings import HttpSettings
from connectors.intake import Unavailable
from connectors.metrics import Metrics
from connectors.store_sqlite import SqliteStore
from engine.delivery import Outbox
from engine.listen import is_loopback
from engine.settings import SETTINGS_FILE
from engine.settings_file import resolve_env
from engine.site import read_site
from geo.mistake import Mistake, MistakesError
from nearcast.channels import make_channels
from nearcast.door import Door
from nearcast.fault import InputFaultError
from nearcast.file_channels import misplaced
from nearcast.in_force import tell_site
from nearcast.live import Live
from nearcast.map_file import MapFile
from nearcast.next_site import settle
from nearcast.recover import Recovered, recover
from nearcast.reload import Reloader
from nearcast.upkeep import Upkeep
from rules.decide import recheck

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from connectors.clock import Clock
    from connectors.dispatch import Verdict
    from engine.ports import Delivery
    from engine.settings import Settings
    from engine.site import Site
    from nearcast.folder import Fingerprint

log = structlog.get_logger("nearcast")

#: How long attempts under way may take to land when the process ends.
GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is given from outside: the clock, where printed messages go, where to listen (None: settings).

    `kernels` returns once those are loaded that pings meet: nobody is listened to before. `seen` is the site's folder
    as it was before its files were read (None: as it is when it is watched first).
    """

    clock: Clock
    show: Callable[[str], None]
    colour: bool = False
    listen: tuple[str, int] | None = None
    progress: Callable[[str], None] = lambda _: None
    kernels: Callable[[], None] = lambda: None
    seen: Fingerprint | None = None


@dataclass(slots=True)
class Process:
    """The parts of one running process. Made by `start`; ended by `stop`."""

    store: SqliteStore
    live: Live
    metrics: Metrics
    door: Door
    reloader: Reloader
    server: HttpServer
    map_file: MapFile
    _loop: asyncio.Task[None]
    _beside: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    async def stop(self) -> None:
        """End in good order: take nothing more, work what waits, let attempts land, keep a checkpoint."""
        await self.server.stop()
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self.live.dispatcher.stop(GRACE_S)
        self.live.stop()
        await asyncio.wait([self._loop])
        await self.live.close()
        await asyncio.to_thread(self.map_file.keep, self.live.engine.site.map)
        self.store.close()

    async def broken(self) -> None:
        """Return when the live loop has ended by itself; raise what ended it, or what goes on beside it."""
        watched = {self._loop, *self._beside}
        while self._loop in watched:
            done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()


async def start(path: Path, files: Mapping[str, bytes], around: Surroundings, map_file: MapFile) -> Process:
    """Start a site on the store that `map_file` stands beside, with the map of its last run where that is kept.

    Raises `MistakesError` when its files are bad and no version is stored, and `StoreError`.
    """
    around.progress("reading the site")
    kept = await asyncio.to_thread(map_file.read)
    site, mistakes = await asyncio.to_thread(read_site, files, previous=kept)
    if site is not None and (mistakes := misplaced(resolve_env(site.settings, os.environ)[0], path)):
        site = None
    store = SqliteStore.open(map_file.store)
    try:
        if site is None and store.site() is None:
            raise MistakesError(mistakes)
        if site is not None:
            # before the first ping: to gather a large map holds up everybody
            await asyncio.to_thread(map_file.keep, site.map)
        await asyncio.to_thread(around.kernels)
        around.progress("folding the journal")
        back = await asyncio.to_thread(recover, store, around.clock.now_ms(), known=site)
        if back.damaged:
            log.error("a checkpoint is damaged, an older one was taken: look at the disk", damaged=back.damaged)
        if back.differences:
            log.error(
                "decisions came out otherwise than they are stored; what is stored stands", count=back.differences
            )
        return await _start(path, site, mistakes, store, back, map_file, around)
    except BaseException:
        store.close()
        raise


async def _start(
    path: Path, site: Site | None, mistakes: list[Mistake], store: SqliteStore, back: Recovered, map_file: MapFile,
    around: Surroundings,
) -> Process:  # fmt: skip
    in_force = site if site is not None else back.engine.site
    settings = _filled(in_force.settings)
    metrics = Metrics(settings.max_rules, around.clock)
    live = _make_live(path, settings, store, back, metrics, around)
    door = Door(live, store)
    server = HttpServer(make_app(door, HttpSettings.of(settings), metrics, around.clock))
    host, port = around.listen or (settings.host, settings.port)

    def unfit(new: Site) -> list[Mistake]:
        filled, mistakes = resolve_env(new.settings, os.environ)
        return mistakes or misplaced(filled, path) or _too_open(host, filled)

    async def applied(new: Site) -> None:
        filled = _filled(new.settings)
        fresh = make_channels(filled, path, clock=around.clock, show=around.show, colour=around.colour)
        await live.dispatcher.reload(fresh.by_name, fresh.concurrency, others=fresh.others)
        server.take(HttpSettings.of(filled))
        tell_site(metrics, new, around.clock)

    reloader = Reloader(path, live, metrics, applied, unfit=unfit, seen=around.seen)
    upkeep = Upkeep(store, live, around.clock)
    door.after_erasure = upkeep.ask
    loop = asyncio.create_task(live.run())
    live.ready = True
    running = asyncio.get_running_loop()
    store.when_damaged(lambda error: running.call_soon_threadsafe(live.damaged, error))
    # what an edit stops must not leave before it, nor anything from a process that may not run here
    live.dispatcher.pause()
    live.dispatcher.add(*store.pending())
    if site is None:
        reloader.mistaken(mistakes)
    elif site.version != back.engine.site.version:
        try:
            await live.edit(site)
        except Unavailable:
            reloader.hold(site)
    tell_site(metrics, live.site, around.clock)
    try:
        await _listen(server, host, port, settings)
    except (InputFaultError, MistakesError):
        live.stop()
        await loop
        raise
    live.dispatcher.resume()
    log.info(
        "ready", listen=server.url, version=live.site.version, folded_frames=back.tail,
        map="kept" if map_file.was_read else "made",
    )  # fmt: skip
    beside = [asyncio.create_task(reloader.watch()), asyncio.create_task(upkeep.run())]
    if map_file.was_read and map_file.in_pages:
        beside.append(asyncio.create_task(asyncio.to_thread(settle, live.engine.site.map)))
    return Process(store, live, metrics, door, reloader, server, map_file, loop, beside)


def _make_live(
    path: Path, settings: Settings, store: SqliteStore, back: Recovered, metrics: Metrics, around: Surroundings
) -> Live:
    """The live loop and the dispatcher: each calls the other."""
    live = Live(back.engine, store, metrics, around.clock, back.seq, back.seq - back.tail, back.rows)
    live.measure(back.checkpoint_ms)
    channels = make_channels(settings, path, clock=around.clock, show=around.show, colour=around.colour)
    outbox = Outbox(channels.concurrency, chance=random.SystemRandom().random, others=channels.others is not None)

    def may_go(delivery: Delivery) -> Verdict:
        site, people = live.engine.site, live.engine.people
        rule = site.rules.rule(delivery.rule)
        if rule is None:
            return "ok"  # it was sent by a rule that is gone: what an edit stops is cancelled, not rechecked
        user = people.users.get(delivery.user)
        if user is None:
            return "withdrawn"  # erased meanwhile
        place = site.places.get(delivery.place) if delivery.place is not None else None
        return recheck(rule, user, around.clock.now_ms(), place=place, ruleset=site.rules)

    async def before_attempt(delivery: Delivery, number: int) -> None:
        await live.written(store.open_attempts, [(delivery.key, number)])

    live.dispatcher = Dispatcher(
        outbox,
        channels.by_name,
        recheck=may_go,
        ended=live.ended,
        before_attempt=before_attempt,
        clock=around.clock,
        metrics=metrics,
        broke=lambda error: log.error("a channel failed", error=repr(error)),
        others=channels.others,
    )
    return live


def _filled(settings: Settings) -> Settings:
    """The settings with the environment's variables in them. Raises `MistakesError` for those that are not set."""
    filled, missing = resolve_env(settings, os.environ)
    if missing:
        raise MistakesError(missing)
    return filled


def _too_open(host: str, settings: Settings) -> list[Mistake]:
    """What is wrong with the keys, seen from where the process listens."""
    if is_loopback(host) or (settings.keys.ingest and settings.keys.admin):
        return []
    what = f"`{host}` is open to other machines, which needs ingest and admin keys"
    return [Mistake(SETTINGS_FILE, 1, 1, what, None, "write `keys: {ingest: [...], admin: [...]}`")]


async def _listen(server: HttpServer, host: str, port: int, settings: Settings) -> None:
    if too_open := _too_open(host, settings):
        raise MistakesError(too_open)
    try:
        await server.start(host, port)
    except OSError as error:
        raise InputFaultError(
            f"cannot listen on `{host}:{port}`: {error.strerror or error}, is another process there,"
            " choose another with `listen` or `--listen`"
        ) from error
