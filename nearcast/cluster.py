"""What gateway, worker and dispatcher have in common: a site's settings, Redis and Kafka as they must be, the site.

Owns the checks at the start and what is refused with which words. Must not know what a role does with all this.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from connectors.clock import MachineClock
from connectors.http_api import HttpServer
from connectors.kafka_brokers import Brokers
from connectors.kafka_partition import Partitions
from connectors.kafka_topics import Names, check_topics
from connectors.logs import configure_logs
from connectors.metrics import Metrics
from connectors.redis_client import RedisClient, RefusedError, check_redis
from connectors.redis_people import RedisPeople
from connectors.redis_shards import RedisShards
from connectors.redis_sites import RedisSites
from engine.ports import AwayError, StoreError
from engine.settings_file import resolve_env
from geo.mistake import MistakesError
from nearcast.fault import InputFaultError, NotNowFaultError
from nearcast.kernels import ready_kernels
from nearcast.reload import Reloader
from nearcast.run import begin, listen_option, run_loop
from nearcast.site_keeper import SiteKeeper
from nearcast.site_store import seen_from, settings_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from connectors.clock import Clock
    from engine.settings import ClusterSettings, Settings
    from engine.site import Site
    from geo.mistake import Mistake
    from nearcast.folder import Fingerprint

log = structlog.get_logger("nearcast")


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """What the command line says of a role. `listen` and `instance` None: the default.

    `seen` is the site's folder as it was before its files were read.
    """

    listen: str | None = None
    instance: str | None = None
    seen: Fingerprint | None = None


@dataclass(slots=True)
class Cluster:
    """One process's way into a cluster: what every role is made of."""

    path: Path
    files: dict[str, bytes]
    settings: Settings
    names: Names
    partitions: Partitions
    brokers: Brokers
    redis: RedisClient
    sites: SiteKeeper
    shards: RedisShards
    people: RedisPeople
    metrics: Metrics
    clock: Clock
    seen: Fingerprint | None
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def cluster(self) -> ClusterSettings:
        """The settings' block of this name."""
        return self.settings.cluster

    def reloader(self, applied: Callable[[Site], Awaitable[None]]) -> Reloader:
        """What watches the folder, and has an edit of it wanted."""
        self.sites.changed.append(applied)

        async def told(_site: Site) -> None:
            """Whoever is to know is told by the keeper, wherever the edit came from."""

        return Reloader(self.path, self.sites, self.metrics, told, seen=self.seen)


async def open_cluster(path: Path, files: dict[str, bytes], role: str, seen: Fingerprint | None) -> Cluster:
    """Connect, check, and bring the site in force. Raises `StoreError`, `MistakesError`, `InputFaultError`."""
    settings = start_settings(path, files, role)
    cluster, clock = settings.cluster, MachineClock()
    names, brokers = Names(cluster.name), Brokers(cluster)
    redis = RedisClient(cluster.redis, cluster.redis_tls)
    try:
        sites, shards = await settled(settings, brokers, redis)
        keeper = SiteKeeper(sites, clock, f"{role}@{socket.gethostname()}")
        made = Cluster(
            path, files, settings, names, Partitions(shards), brokers, redis, keeper,
            RedisShards(redis, cluster.name), RedisPeople(redis, cluster.name, settings.keep.decisions_ms),
            Metrics(settings.max_rules, clock), clock, seen,
        )  # fmt: skip
        made.mistakes = await keeper.start(files)
    except BaseException:
        await redis.close()
        raise
    return made


async def settled(settings: Settings, brokers: Brokers, redis: RedisClient) -> tuple[RedisSites, int]:
    """Redis and the topics as they must be, and fit together: the site's versions, and how many shards there are.

    Raises `StoreError`.
    """
    cluster = settings.cluster
    for warning in await check_redis(redis):
        log.warning(warning)
    shards = await check_topics(brokers, cluster, settings.keep)
    sites = RedisSites(redis, cluster.name, 2 * settings.keep.pings_ms)
    known = await sites.settle_shards(shards)
    if known != shards:
        raise StoreError(
            f"topic `{Names(cluster.name).pings}` has {shards} partitions, but the state in redis is of {known}:"
            f" devices would lose theirs; make the topics of another `cluster.name` with {shards} partitions and move"
            " over"
        )
    if await sites.is_moving():
        raise StoreError(
            f"a move into the cluster `{cluster.name}` is under way or did not come to its end: wait for it, or choose"
            " another `cluster.name` and move again"
        )
    return sites, shards


def start_settings(path: Path, files: Mapping[str, bytes], role: str) -> Settings:
    """The settings that a role starts with: those of `role_settings`, and files of the login seen from here."""
    settings = role_settings(settings_of(files), role)
    return replace(settings, cluster=seen_from(path, settings.cluster))


def role_settings(settings: Settings, role: str) -> Settings:
    """The settings with the environment's variables in them; those of channels only where messages leave.

    Raises `MistakesError` for those that are not set.
    """
    filled, mistakes = resolve_env(settings, os.environ)
    needed = [m for m in mistakes if role == "dispatcher" or not m.what.startswith("`channels.")]
    if needed:
        raise MistakesError(needed)
    return filled


def run_role(
    path: Path, options: RoleOptions, serve: Callable[[Path, dict[str, bytes], RoleOptions], Coroutine[Any, Any, None]]
) -> None:
    """Run a role's coroutine to its end, with logs and kernels ready.

    Raises `NotNowFaultError` when a server does not answer that is needed at the start.
    """
    files, seen = begin(path)
    configure_logs(level=settings_of(files).log_level.value)
    ready_kernels(pings=True)
    with worth_another_start():
        run_loop(serve(path, files, replace(options, seen=seen)))


@contextmanager
def worth_another_start() -> Iterator[None]:
    """Around what needs servers. Raises `NotNowFaultError` when one does not answer, what it was when one refuses."""
    try:
        yield
    except RefusedError:
        raise
    except AwayError as error:
        raise NotNowFaultError(str(error)) from error


async def listening(server: HttpServer, listen: str | None, default: tuple[str, int]) -> HttpServer:
    """Have a server listen. Raises `InputFaultError` when the address cannot be had."""
    host, port = listen_option(listen) or default
    try:
        await server.start(host, port)
    except OSError as error:
        raise InputFaultError(
            f"cannot listen on `{host}:{port}`: {error.strerror or error}, is another process there, choose another"
            " with `--listen`"
        ) from error
    return server


async def until_told(reloader: Reloader, *broken: asyncio.Future[Any]) -> None:
    """Wait for SIGTERM or SIGINT, or for one of `broken` to raise, which is then raised here."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait()), *broken]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    waiting[0].cancel()
    for task in done:
        task.result()
