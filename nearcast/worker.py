"""`nearcast worker`: folds the shards that are given to it.

Owns the parts of a worker, in which order they start and end, and the watchdogs that end a worker which does not come
on. Must not know what a fold does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

import structlog

from connectors.http_health import HealthServer
from connectors.kafka_brokers import Brokers
from connectors.kafka_faust import Membership
from connectors.kafka_reader import KafkaReader
from connectors.kafka_topics import make_topics
from connectors.kafka_writer import KafkaWriter
from connectors.redis_places import RedisPlaces
from engine.ports import StoreError
from nearcast.cluster import (
    Cluster,
    RoleOptions,
    listening,
    open_cluster,
    run_role,
    start_settings,
    until_told,
    worth_another_start,
)
from nearcast.fault import ExitCode
from nearcast.folder import read_folder
from nearcast.in_force import tell_site
from nearcast.shard import Shard
from nearcast.shard_beat import Beat
from nearcast.shard_parts import Parts
from nearcast.shard_runner import ShardRunner

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka_reader import Record
    from engine.site import Site

log = structlog.get_logger("nearcast.worker")

LISTEN: Final = ("127.0.0.1", 8081)
#: How often the ends of the shards are looked at.
LOOK_S: Final = 1.0
#: A broker that does not tell them within this is looked for again.
ENDS_S: Final = 5.0
#: What is being folded when a shard is taken may be ended for so long.
TAKE_S: Final = 3.0
#: A member that leaves in good order has left within this.
LEAVE_S: Final = 4.0


def create_topics(path: Path) -> list[str]:
    """Make the topics that are missing; returns their names."""
    settings = start_settings(path, read_folder(path), "worker")
    with worth_another_start():
        return asyncio.run(make_topics(Brokers(settings.cluster), settings.cluster, settings.keep))


def work(path: Path, options: RoleOptions) -> int:
    """Run a worker until it is told to stop. Returns the exit code."""
    run_role(path, options, _serve)
    return ExitCode.GOOD


class Worker:
    """One worker: its shards, and what brings them. Also what `/readyz` asks."""

    def __init__(self, cluster: Cluster, instance: str | None) -> None:
        settings, names = cluster.cluster, cluster.names
        client = f"{names.name}-worker"
        self.reader = KafkaReader(cluster.brokers, names.pings, client=client)
        self.writer = KafkaWriter(cluster.brokers, client=client, clock=cluster.clock)
        self.parts = Parts(
            names, cluster.partitions, cluster.shards, cluster.people, RedisPlaces(cluster.redis, names.name),
            cluster.sites, self.reader, self.writer, cluster.metrics, cluster.clock, Beat(cluster.clock.monotonic_s),
        )  # fmt: skip
        self.membership = Membership(
            settings, cluster.brokers, names.pings, group=names.group("worker"), instance=instance,
            given=self.given, taken=self.taken, bring=self.bring,
        )  # fmt: skip
        self.runners: dict[int, ShardRunner] = {}
        self.joined = False
        self.left = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cluster = cluster
        self._tasks: list[asyncio.Task[None]] = []
        self._rebalancing_s: float | None = None

    @property
    def ready(self) -> bool:
        """True while it is a member, and every shard that it has is served."""
        held = [runner for runner in self.runners.values() if runner.given]
        waits = self._away or any(runner.waits for runner in held)
        return self.joined and not self.membership.is_rebalancing and not waits

    @property
    def _away(self) -> bool:
        """Whether Redis or the broker is: a shard notices only when it has something to fold."""
        return self._cluster.sites.away or self.writer.is_away

    # -- shards come and go ----------------------------------------------------------------------------------------

    async def given(self, shards: set[int]) -> None:
        """These shards are this worker's from now on; all others are not."""
        self.joined = True
        await asyncio.gather(*(r.take(TAKE_S) for n, r in self.runners.items() if n not in shards and r.given))
        for number in sorted(shards):
            runner = self.runners.get(number)
            if runner is None:
                runner = self.runners[number] = ShardRunner(Shard(number, self.parts), self.parts)
                self._tasks.append(asyncio.create_task(self._run(runner)))
            runner.give()
        log.info("shards given", shards=sorted(shards))

    async def taken(self, shards: set[int]) -> None:
        """These shards are no longer this worker's. What it knows of them it keeps: it may get them back."""
        await asyncio.gather(*(self.runners[n].take(TAKE_S) for n in shards if n in self.runners))
        log.info("shards taken", shards=sorted(shards))

    async def bring(self, shard: int, record: Record) -> None:
        """A record came."""
        runner = self.runners.get(shard)
        if runner is not None:
            await runner.feed(record)

    async def site_changed(self, site: Site) -> None:
        """Another version of the site is wanted."""
        tell_site(self._cluster.metrics, site, self._cluster.clock)
        for runner in self.runners.values():
            runner.look()

    async def _run(self, runner: ShardRunner) -> None:
        try:
            await runner.run()
            runner.unfit.result()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process and is told there
            if not self.broken.done():
                self.broken.set_exception(error)

    # -- watchdogs -------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look at the ends of the shards again and again; end a process that does not come on. Never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = self._cluster.clock.monotonic_s()
            self._watch_group(now_s)
            held = {n: runner for n, runner in self.runners.items() if runner.given}
            metrics = self._cluster.metrics
            waiting = len(held) if self._away else sum(runner.waits for runner in held.values())
            metrics.shards(held=len(held), waiting=waiting)
            ends = await self._ends(sorted(held))
            if ends is None:
                for runner in held.values():
                    runner.moved_s = now_s  # there is nothing that it could fold
                continue
            self._cluster.sites.forget_others({runner.shard.version for runner in held.values()})
            lags = {n: runner.lag(ends[n]) for n, runner in held.items()}
            metrics.lag(sum(lags.values()))
            metrics.devices(sum(runner.shard.devices for runner in held.values()))
            stuck_s = self._cluster.cluster.stuck_ms / 1000
            for n, runner in held.items():
                if not lags[n]:
                    runner.moved_s = now_s
                elif not runner.waits and now_s - runner.moved_s > stuck_s:
                    _end(f"shard {n} has {lags[n]} records and was not folded for {stuck_s:g} s")

    async def _ends(self, shards: list[int]) -> dict[int, int] | None:
        """The ends of shards; None while the broker does not tell them."""
        if self.writer.is_away:
            return None
        try:
            async with asyncio.timeout(ENDS_S):
                return await self.reader.ends(shards) if shards else {}
        except (StoreError, TimeoutError) as error:
            log.warning("the ends of the shards are not known just now", error=str(error) or "no answer")
            return None

    def _watch_group(self, now_s: float) -> None:
        crash = self.membership.crash
        if crash is not None:
            _end(f"the group's member failed: {crash!r}")
        if not self.membership.is_rebalancing and self.joined:
            self._rebalancing_s = None
        elif self._rebalancing_s is None:
            self._rebalancing_s = now_s
        elif now_s - self._rebalancing_s > self._cluster.cluster.stuck_ms / 1000 and not self.writer.is_away:
            _end(f"shards were not given out for {now_s - self._rebalancing_s:.0f} s")

    async def close(self) -> None:
        """Leave in good order: fold what is being folded, give the shards back."""
        await asyncio.gather(*(runner.take(TAKE_S) for runner in self.runners.values()))
        leaving = asyncio.create_task(self.membership.stop())
        await asyncio.wait([leaving], timeout=LEAVE_S)
        self.left = leaving.done()
        if self.left:
            await asyncio.gather(leaving, return_exceptions=True)  # with the broker away it may be cancelled midway
        else:  # nor would it end for being cancelled, perhaps
            log.warning("the group was not left in time, others take the shards once the session is over")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.reader.stop()
        await self.writer.stop(1.0)


def _end(why: str) -> None:
    """End the process at once: whoever started it starts it again, and what is stored is whole."""
    log.error("this worker ends itself, to be started anew", why=why)
    sys.stderr.flush()
    os._exit(ExitCode.OURS)


async def _serve(path: Path, files: dict[str, bytes], options: RoleOptions) -> None:
    cluster = await open_cluster(path, files, "worker", options.seen)
    worker = Worker(cluster, options.instance)
    reloader = cluster.reloader(worker.site_changed)
    server = HealthServer(worker, cluster.metrics, cluster.clock)
    beside: list[asyncio.Task[None]] = []
    told = False
    try:
        await listening(server, options.listen, LISTEN)
        if cluster.mistakes:
            reloader.mistaken(cluster.mistakes)
        await worker.site_changed(cluster.sites.site)
        await worker.writer.start()
        await worker.reader.start()
        await worker.membership.start()
        log.info("ready", listen=server.url, version=cluster.sites.site.version, shards=cluster.partitions.count)
        work = (worker.watch(), worker.writer.watch(), cluster.sites.watch(), reloader.watch())
        beside = [asyncio.create_task(c) for c in work]
        await until_told(reloader, worker.broken, *beside)
        told = True
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await worker.close()
        await server.stop()
        await cluster.redis.close()
        if told and not worker.left:  # threads of a member that does not stop would keep the process for ever
            sys.stderr.flush()
            os._exit(ExitCode.GOOD)
