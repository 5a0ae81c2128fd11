"""Single pings that others write to a topic of their own: read, judged as posted ones are, and written as frames.

Owns that a ping is committed as read only when its frame is acknowledged; a repeat is a duplicate, and changes nothing.
Must not know how frames are made.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from connectors.intake import Unavailable
from connectors.kafka_group import GroupReader
from engine.ping_reader import PingReader
from engine.ports import StoreError
from engine.rejection import BodyError

if TYPE_CHECKING:
    from connectors.kafka_frames import FrameWriter
    from connectors.kafka_reader import Record
    from connectors.kafka_writer import KafkaWriter
    from engine.pings import Pings
    from nearcast.cluster import Cluster

log = structlog.get_logger("nearcast.gateway")

_PAUSE_S: Final = 0.5


class RawPings:
    """Reads the topic of single pings, as one of the gateways."""

    def __init__(self, cluster: Cluster, frames: FrameWriter, writer: KafkaWriter) -> None:
        self._cluster = cluster
        self._frames = frames
        self._writer = writer
        self._pings = PingReader()
        names, block = cluster.names, cluster.cluster
        self._held: set[int] = set()
        self._reader = GroupReader(
            cluster.brokers, names.raw, group=names.group("gateway"), client=f"{block.name}-gateway-raw",
            session_ms=block.session_ms, given=self._given, taken=self._taken,
        )  # fmt: skip

    async def stop(self) -> None:
        """Leave."""
        await self._reader.stop()

    async def run(self) -> None:
        """Join the group, read and write; never returns. Raises `StoreError` when the group cannot be joined.

        It takes in a new member only when one that was killed is out of its session.
        """
        await self._reader.start()
        while True:
            try:
                for partition, records in (await self._reader.records()).items():
                    if partition in self._held:
                        await self._work(partition, records)
            except StoreError as error:
                log.warning("single pings are not read just now", why=str(error))
                await asyncio.sleep(_PAUSE_S)

    async def _work(self, partition: int, records: list[Record]) -> None:
        """Write the good ones of one partition, put the others aside, then say that they are read."""
        taken: list[tuple[Pings, int]] = []
        rejected: Counter[str] = Counter()
        for record in records:
            try:
                read = self._pings.read(
                    record.value, ndjson=False, now_ms=record.time_ms, limits=self._cluster.settings.ping
                )
            except BodyError as error:
                rejected["bad_json"] += 1
                await self._aside(partition, record, error.text)
                continue
            for refused in read.rejected:
                rejected[refused.reason.value] += 1
                await self._aside(partition, record, f"{refused.reason.value}: {refused.detail}")
            if read.pings:
                taken.append((read.pings, record.time_ms))
        accepted = sum(len(pings) for pings, _ in taken)
        await self._written(partition, taken)
        self._cluster.metrics.taken(
            "pings", received=accepted + rejected.total(), accepted=accepted, duplicate=0, rejected=rejected
        )
        await self._reader.commit({partition: records[-1].offset + 1})

    async def _written(self, partition: int, taken: list[tuple[Pings, int]]) -> None:
        """Write them, again while the broker is away: what was written twice counts once."""
        while taken and partition in self._held:
            try:
                await asyncio.gather(*(self._frames.located(pings, time_ms) for pings, time_ms in taken))
                return
            except Unavailable:
                await asyncio.sleep(_PAUSE_S)

    async def _aside(self, partition: int, record: Record, why: str) -> None:
        names = self._cluster.names
        headers = (
            ("topic", names.raw.encode()),
            ("partition", str(partition).encode()),
            ("offset", str(record.offset).encode()),
            ("reason", why.encode()),
        )
        await self._writer.write(names.dead, record.value, headers=headers)

    async def _given(self, partitions: set[int]) -> None:
        self._held = set(partitions)

    async def _taken(self, partitions: set[int]) -> None:
        self._held -= partitions
