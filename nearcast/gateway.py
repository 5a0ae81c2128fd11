"""`nearcast gateway`: the HTTP interface of `run`, over Kafka and Redis. It keeps nothing itself.

Owns the parts of a gateway and in which order they start and end. Must not know what is done with a request.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from connectors.http_api import HttpServer, make_app
from connectors.http_settings import HttpSettings
from connectors.kafka_frames import FrameWriter
from connectors.kafka_writer import KafkaWriter
from connectors.redis_deliveries import RedisDeliveries
from engine.listen import is_loopback
from nearcast.cluster import (
    Cluster,
    RoleOptions,
    listening,
    open_cluster,
    role_settings,
    run_role,
    until_told,
)
from nearcast.fault import ExitCode, InputFaultError
from nearcast.gateway_door import GatewayDoor
from nearcast.gateway_raw import RawPings
from nearcast.in_force import tell_site
from nearcast.run import listen_option

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.kafka_writer import Written
    from engine.site import Site

log = structlog.get_logger("nearcast.gateway")

#: A clock that is farther off than this is told of, once a minute.
SKEW_MS = 2_000
_SKEW_EACH_S = 60.0


def serve(path: Path, options: RoleOptions) -> int:
    """Run a gateway until it is told to stop. Returns the exit code."""
    run_role(path, options, _serve)
    return ExitCode.GOOD


class Skew:
    """How far this machine's clock is from the broker's, as seen by what was written."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told_s = -_SKEW_EACH_S

    def note(self, written: Written, sent_ms: float) -> None:
        """A record was sent and was got by the broker: between the two lies its way, and what the clocks differ by."""
        clock = self._cluster.clock
        way_ms = max(0.0, clock.now_ms() - sent_ms)
        ahead_ms = sent_ms - written.time_ms
        # the broker got it on its way: within that the clocks may be the same
        skew_ms = ahead_ms if ahead_ms > 0 else min(0.0, ahead_ms + way_ms)
        self._cluster.metrics.clock_skew(skew_ms)
        if abs(skew_ms) > SKEW_MS and clock.monotonic_s() - self._told_s >= _SKEW_EACH_S:
            self._told_s = clock.monotonic_s()
            log.error(
                "this machine's clock is not the broker's, pings are judged too old or ahead by it, set both by ntp",
                ahead_ms=round(skew_ms),
            )


async def _serve(path: Path, files: dict[str, bytes], options: RoleOptions) -> None:
    cluster = await open_cluster(path, files, "gateway", options.seen)
    settings, block = cluster.settings, cluster.cluster
    writer = KafkaWriter(
        cluster.brokers, client=f"{block.name}-gateway", clock=cluster.clock, bytes_max=block.buffer_bytes
    )
    frames = FrameWriter(
        writer, cluster.names.pings, cluster.partitions.of, linger_ms=block.linger_ms, frame_bytes=block.frame_bytes,
        now_ms=cluster.clock.now_ms, told=Skew(cluster).note,
    )  # fmt: skip
    deliveries = RedisDeliveries(cluster.redis, block.name, settings.keep.decisions_ms)
    door = GatewayDoor(cluster, frames, writer, deliveries)
    raw = RawPings(cluster, frames, writer)

    def http_of(site: Site) -> HttpSettings:
        return replace(HttpSettings.of(role_settings(site.settings, "gateway")), waits=False)

    server = HttpServer(make_app(door, http_of(cluster.sites.site), cluster.metrics, cluster.clock))
    host, _ = listen_option(options.listen) or (settings.host, settings.port)

    async def site_changed(site: Site) -> None:
        server.take(http_of(site))
        tell_site(cluster.metrics, site, cluster.clock)

    reloader = cluster.reloader(site_changed)
    beside: list[asyncio.Task[None]] = []
    try:
        if not is_loopback(host) and not (settings.keys.ingest and settings.keys.admin):
            raise InputFaultError(
                f"`{host}` is open to other machines, which needs ingest and admin keys,"
                " write `keys: {ingest: [...], admin: [...]}` in nearcast.yaml"
            )
        if cluster.mistakes:
            reloader.mistaken(cluster.mistakes)
        await site_changed(cluster.sites.site)
        await writer.start()
        await listening(server, options.listen, (settings.host, settings.port))
        log.info("ready", listen=server.url, version=cluster.sites.site.version, shards=cluster.partitions.count)
        beside = [asyncio.create_task(c) for c in (raw.run(), writer.watch(), cluster.sites.watch(), reloader.watch())]
        await until_told(reloader, *beside)
    finally:
        await server.stop()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await raw.stop()
        await frames.flush()
        await writer.stop()
        await cluster.redis.close()
