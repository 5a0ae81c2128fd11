"""Reading a topic by offsets, outside of any consumer group: for what must be folded again.

Owns one consumer that reads one stretch at a time. Must not know what is in the records.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.kafka_ending import end_consumer
from connectors.kafka_topics import RECORD_BYTES_MAX
from engine.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from connectors.kafka_brokers import Brokers

#: A broker that gives no record for so long while there are some is away.
_GIVES_S: Final = 10.0
_PIECE: Final = 500


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `time_ms` is when the broker got it."""

    offset: int
    time_ms: int
    value: bytes


class ReadError(StoreError):
    """The broker does not give what is asked for."""


class KafkaReader:
    """Reads stretches of one topic. Lives on one event loop; `start` it there."""

    def __init__(self, brokers: Brokers, topic: str, *, client: str) -> None:
        self._topic = topic
        self._brokers = brokers
        self._consumer = AIOKafkaConsumer(
            **brokers.options,
            client_id=client,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=2 * RECORD_BYTES_MAX,
            fetch_max_wait_ms=200,
        )
        self._turn = asyncio.Lock()
        self._place: tuple[int, int] | None = None

    async def start(self) -> None:
        """Connect. Raises `StoreError`."""
        try:
            await self._consumer.start()
        except KafkaError as error:
            await end_consumer(self._consumer)
            raise await self._brokers.why_not() from error

    async def stop(self) -> None:
        """End."""
        await end_consumer(self._consumer)

    async def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """For each partition the offset that the next record will get. Raises `ReadError`."""
        return await self._bounds(self._consumer.end_offsets, partitions)

    async def begins(self, partitions: Sequence[int]) -> dict[int, int]:
        """For each partition the offset of the oldest record that is kept. Raises `ReadError`."""
        return await self._bounds(self._consumer.beginning_offsets, partitions)

    async def _bounds(self, ask: Any, partitions: Sequence[int]) -> dict[int, int]:
        try:
            found = await ask([TopicPartition(self._topic, p) for p in partitions])
        except (TimeoutError, KafkaError, OSError) as error:
            raise ReadError(f"the broker does not tell the ends of `{self._topic}`: {error!r}") from error
        return {at.partition: offset for at, offset in found.items()}

    async def stretch(self, partition: int, first: int, until: int) -> AsyncGenerator[list[Record], None]:
        """The records from `first` on, before `until`, in pieces. Raises `ReadError`."""
        next_offset = first
        while next_offset < until:
            found = await self._piece(partition, next_offset)
            next_offset = found[-1].offset + 1
            yield [record for record in found if record.offset < until]

    async def _piece(self, partition: int, first: int) -> list[Record]:
        """Some records from `first` on, at least one. Several may ask in turn."""
        at = TopicPartition(self._topic, partition)
        async with self._turn:
            try:
                if self._place != (partition, first):  # else what was fetched ahead is thrown away
                    self._consumer.assign([at])
                    self._consumer.seek(at, first)
                self._place = None
                found = [await asyncio.wait_for(self._consumer.getone(at), _GIVES_S)]
                more = await self._consumer.getmany(at, timeout_ms=0, max_records=_PIECE)
                found += more.get(at, ())
                self._place = (partition, found[-1].offset + 1)
            except (KafkaError, OSError, TimeoutError) as error:
                raise ReadError(f"the broker does not give records of `{self._topic}`: {error!r}") from error
        return [Record(r.offset, r.timestamp, r.value or b"") for r in found]
