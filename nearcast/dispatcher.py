"""`nearcast dispatcher`: hands what workers decided on to the channels.

Owns the parts of a dispatcher and in which order they start and end, and what of the topic is said to be done. Must not
know how a delivery lives.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from connectors.dispatch import Dispatcher
from connectors.http_health import HealthServer
from connectors.kafka_group import GroupReader
from connectors.kafka_writer import KafkaWriter
from connectors.redis_deliveries import RedisDeliveries
from engine.delivery import Outbox
from engine.ports import StoreError
from nearcast.channels import Channels, make_channels
from nearcast.cluster import Cluster, RoleOptions, listening, open_cluster, run_role, until_told
from nearcast.fault import ExitCode
from nearcast.handover import Handover
from nearcast.in_force import tell_site
from nearcast.site_store import filled_settings

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka_reader import Record
    from engine.site import Site

log = structlog.get_logger("nearcast.dispatcher")

LISTEN: Final = ("127.0.0.1", 8082)
#: With so many deliveries that have not ended nothing more is fetched, until there are `PENDING_LOW`.
PENDING_MAX: Final = 50_000
PENDING_LOW: Final = 40_000
#: How long attempts under way may take to land when partitions go or the process ends.
GRACE_S: Final = 3.0
COMMIT_EACH_S: Final = 1.0
_PAUSE_S: Final = 0.5


def dispatch(path: Path, options: RoleOptions) -> int:
    """Run a dispatcher until it is told to stop. Returns the exit code."""
    run_role(path, options, _serve)
    return ExitCode.GOOD


class Dispatching:
    """One dispatcher: its partitions and what it has taken up. Also what `/readyz` asks."""

    def __init__(self, cluster: Cluster, instance: str | None) -> None:
        names, block = cluster.names, cluster.cluster
        self.writer = KafkaWriter(cluster.brokers, client=f"{block.name}-dispatcher", clock=cluster.clock)
        deliveries = RedisDeliveries(cluster.redis, block.name, cluster.settings.keep.decisions_ms)
        self.handover = Handover(cluster, deliveries, self._unreadable)
        self.reader = GroupReader(
            cluster.brokers, names.decisions, group=names.group("dispatcher"), client=f"{block.name}-dispatcher",
            session_ms=block.session_ms, given=self._given, taken=self._taken, instance=instance,
        )  # fmt: skip
        channels = self._channels(cluster, cluster.sites.site)
        outbox = Outbox(channels.concurrency, chance=random.SystemRandom().random, others=channels.others is not None)
        self.dispatcher = self.handover.dispatcher = Dispatcher(
            outbox,
            channels.by_name,
            recheck=self.handover.may_go,
            ended=self.handover.ended,
            before_attempt=self.handover.before_attempt,
            clock=cluster.clock,
            metrics=cluster.metrics,
            broke=lambda error: log.error("a channel failed", error=repr(error)),
            others=channels.others,
        )
        self._cluster = cluster
        self._partitions: set[int] = set()
        self._joined = False
        self._fetches = True
        self._working = asyncio.Lock()
        self._asides: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> bool:
        """True while it is a member and nothing is waited for."""
        away = self._cluster.sites.away or self.writer.is_away
        return self._joined and self._fetches and not self.handover.waits and not away

    async def site_changed(self, site: Site) -> None:
        """Another version of the site is wanted: its channels come into force, what its rules stopped is cancelled."""
        channels = self._channels(self._cluster, site)
        await self.dispatcher.reload(channels.by_name, channels.concurrency, others=channels.others)
        self.handover.stopped(site.rules.running)
        tell_site(self._cluster.metrics, site, self._cluster.clock)

    async def run(self) -> None:
        """Fetch and take up; never returns."""
        while True:
            try:
                for partition, records in (await self.reader.records()).items():
                    await self._take_up(partition, records)
                self._fetches = True
            except StoreError as error:
                self._away(str(error))
                await asyncio.sleep(_PAUSE_S)
            if len(self.handover) >= PENDING_MAX:
                await self._until_fewer()

    async def commit(self) -> None:
        """Say again and again how far all is done; never returns."""
        said: dict[int, int] = {}
        while True:
            await asyncio.sleep(COMMIT_EACH_S)
            with suppress(StoreError):  # redis is away: it is looked at again
                await self.handover.look_back()
            marks = {p: at for p, at in self.handover.marks().items() if p in self._partitions}
            new = {p: at for p, at in marks.items() if said.get(p) != at}
            if await self.reader.commit(new):
                said |= new
            held, metrics = len(self._partitions), self._cluster.metrics
            metrics.shards(held=held, waiting=0 if self.ready else held)
            metrics.lag(await self.reader.lag())

    async def close(self) -> None:
        """End in good order: let attempts land, record them, say how far all is done, leave."""
        async with self._working:
            await self.handover.let_go(self._partitions, GRACE_S)
            await self.dispatcher.stop(0)
            await self.reader.commit(self.handover.marks())
        await self.reader.stop()
        await self.writer.stop(1.0)

    async def _take_up(self, partition: int, records: list[Record]) -> None:
        """Take records up, again until it works or the partition is gone: they are not fetched a second time."""
        while True:
            async with self._working:
                if partition not in self._partitions:
                    return
                try:
                    await self.handover.take_up(partition, records)
                    self._fetches = True
                    return
                except StoreError as error:
                    self._away(str(error))
            await asyncio.sleep(_PAUSE_S)

    def _away(self, why: str) -> None:
        if self._fetches:
            log.warning("messages are not taken up just now", why=why)
        self._fetches = False

    async def _until_fewer(self) -> None:
        log.warning("so many messages wait for their channels that no more are taken up", pending=len(self.handover))
        self.reader.hold(True)
        while len(self.handover) > PENDING_LOW:
            await self.reader.records()  # keeps the membership, and gives nothing
            await asyncio.sleep(_PAUSE_S)
        self.reader.hold(False)

    async def _given(self, partitions: set[int]) -> None:
        self._joined = True
        self._partitions = set(partitions)
        log.info("partitions given", partitions=sorted(partitions))

    async def _taken(self, partitions: set[int]) -> None:
        async with self._working:
            await self.handover.let_go(partitions, GRACE_S)
            await self.reader.commit({p: at for p, at in self.handover.marks().items() if p in partitions})
            self.handover.forget(partitions)
            self._partitions -= partitions
        log.info("partitions taken", partitions=sorted(partitions))

    def _channels(self, cluster: Cluster, site: Site) -> Channels:
        return make_channels(
            filled_settings(site.settings),
            cluster.path,
            clock=cluster.clock,
            show=_print_line,
            colour=sys.stdout.isatty(),
        )

    def _unreadable(self, partition: int, record: Record, why: str) -> None:
        names = self._cluster.names
        log.error("a decision was put aside", partition=partition, offset=record.offset, why=why, topic=names.dead)
        headers = (
            ("topic", names.decisions.encode()),
            ("partition", str(partition).encode()),
            ("offset", str(record.offset).encode()),
            ("reason", why.encode()),
        )
        task = asyncio.create_task(self._aside(record.value, headers))
        self._asides.add(task)
        task.add_done_callback(self._asides.discard)

    async def _aside(self, value: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
        try:
            await self.writer.write(self._cluster.names.dead, value, headers=headers)
        except StoreError as error:
            log.error("a decision could not be put aside", why=str(error))


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _serve(path: Path, files: dict[str, bytes], options: RoleOptions) -> None:
    cluster = await open_cluster(path, files, "dispatcher", options.seen)
    dispatching = Dispatching(cluster, options.instance)
    reloader = cluster.reloader(dispatching.site_changed)
    server = HealthServer(dispatching, cluster.metrics, cluster.clock)
    beside: list[asyncio.Task[None]] = []
    recording: asyncio.Task[None] | None = None
    try:
        await listening(server, options.listen, LISTEN)
        if cluster.mistakes:
            reloader.mistaken(cluster.mistakes)
        tell_site(cluster.metrics, cluster.sites.site, cluster.clock)
        await dispatching.writer.start()
        recording = asyncio.create_task(dispatching.handover.record())
        await dispatching.reader.start()
        log.info("ready", listen=server.url, version=cluster.sites.site.version)
        work = (
            dispatching.run(), dispatching.commit(), dispatching.writer.watch(), cluster.sites.watch(), reloader.watch()
        )  # fmt: skip
        beside = [asyncio.create_task(c) for c in work]
        await until_told(reloader, recording, *beside)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await dispatching.close()
        if recording is not None:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
        await server.stop()
        await cluster.redis.close()
