"""The decisions' topic, read as a member of the dispatchers' group.

Owns the consumer, and that only what its owner says is done is committed. Must not know what is in the records.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from connectors.kafka_ending import end_consumer
from connectors.kafka_reader import Record
from connectors.kafka_topics import RECORD_BYTES_MAX
from engine.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from connectors.kafka_brokers import Brokers

_WAIT_MS: Final = 250
_PIECE: Final = 500
#: A broker that does not answer for so long is away: aiokafka itself would ask it again for ever.
_ANSWER_S: Final = 3.0


class GroupReader:
    """A member of a group that reads one topic. `given` and `taken` are told the partitions.

    With `instance`, a name of its own, one that comes back within the session gets its partitions back at once.
    """

    def __init__(
        self,
        brokers: Brokers,
        topic: str,
        *,
        group: str,
        client: str,
        session_ms: int,
        given: Callable[[set[int]], Awaitable[None]],
        taken: Callable[[set[int]], Awaitable[None]],
        instance: str | None = None,
    ) -> None:
        self._topic = topic
        self._brokers = brokers
        self._listener = _Listener(topic, given, taken)
        self._consumer = AIOKafkaConsumer(
            **brokers.options,
            client_id=client,
            group_id=group,
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(1_000, session_ms // 5),
            max_poll_interval_ms=300_000,
            max_partition_fetch_bytes=2 * RECORD_BYTES_MAX,
            fetch_max_wait_ms=_WAIT_MS,
        )

    async def start(self) -> None:
        """Join. Raises `StoreError`."""
        self._consumer.subscribe([self._topic], listener=self._listener)
        try:
            await self._consumer.start()
        except KafkaError as error:
            await end_consumer(self._consumer)
            raise await self._brokers.why_not() from error

    async def stop(self) -> None:
        """Leave."""
        await end_consumer(self._consumer)

    async def records(self) -> dict[int, list[Record]]:
        """What came, by partition; nothing after a short while without any. Raises `StoreError`."""
        try:
            found = await self._consumer.getmany(timeout_ms=_WAIT_MS, max_records=_PIECE)
        except KafkaError as error:
            raise StoreError(f"the broker gives no records of `{self._topic}`: {error!r}") from error
        return {
            at.partition: [Record(r.offset, r.timestamp, r.value or b"") for r in records]
            for at, records in found.items()
        }

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Note how far each partition is done; False when that did not work, and is to be tried again."""
        if not offsets:
            return True
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._consumer.commit({TopicPartition(self._topic, p): offset for p, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError, KafkaError, TimeoutError):
            return False
        return True

    def hold(self, held: bool) -> None:
        """Fetch nothing more for now, or go on."""
        assigned = self._consumer.assignment()
        if held:
            self._consumer.pause(*assigned)
        else:
            self._consumer.resume(*assigned)

    async def lag(self) -> int:
        """How many records were not fetched yet, as far as is known."""
        total = 0
        with suppress(TimeoutError):  # where a partition begins is not known before the broker tells it
            async with asyncio.timeout(_ANSWER_S):
                for at in self._consumer.assignment():
                    end = self._consumer.highwater(at)
                    if end is not None:
                        total += max(0, end - await self._consumer.position(at))
        return total


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    def __init__(
        self, topic: str, given: Callable[[set[int]], Awaitable[None]], taken: Callable[[set[int]], Awaitable[None]]
    ) -> None:
        self._topic = topic
        self._given = given
        self._taken = taken

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Partitions are about to be given to another member."""
        await self._taken({at.partition for at in revoked if at.topic == self._topic})

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """These partitions are this member's."""
        await self._given({at.partition for at in assigned if at.topic == self._topic})
