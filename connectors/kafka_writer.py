"""Writing records to Kafka: acknowledged by all replicas in sync, in order, each once.

Owns the producer, and how much may be under way. Must not know what is in the records. A record is repeated by the
producer until the broker acknowledges it, however long that takes: what is given up on the way may still be written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from connectors.kafka_topics import RECORD_BYTES_MAX
from engine.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.clock import Clock

#: A broker that has not acknowledged for so long is away.
STALLED_S: Final = 2.0
#: What one request to the broker may take, all tries together.
_REQUEST_MS: Final = 40_000
_OVERHEAD_BYTES: Final = 256
#: While no broker answers it is asked again after this.
ASK_AGAIN_S: Final = 0.1


class WriteError(StoreError):
    """The broker did not take a record. `too_large`: it never will."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


@dataclass(frozen=True, slots=True)
class Written:
    """Where a record is, and when the broker got it, by the broker's clock."""

    partition: int
    offset: int
    time_ms: int


class KafkaWriter:
    """A producer. Lives on one event loop; `start` it there. `bytes_max` may be under way at a time."""

    def __init__(self, brokers: Sequence[str], *, client: str, clock: Clock, bytes_max: int = 256 << 20) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(brokers),
            client_id=client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=1 << 20,
            max_request_size=RECORD_BYTES_MAX + (64 << 10),
            request_timeout_ms=_REQUEST_MS,
        )
        _paced(self._producer.client)
        self._clock = clock
        self._bytes_max = bytes_max
        self._bytes = 0
        self._under_way: dict[int, float] = {}
        self._number = 0

    async def start(self) -> None:
        """Connect. Raises `WriteError`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise WriteError(f"no broker answers: {error}") from error

    async def stop(self, within_s: float = 3.0) -> None:
        """Write what is under way, for so long, and end."""
        try:
            await asyncio.wait_for(self._producer.stop(), within_s)
        except TimeoutError:
            return

    @property
    def bytes_under_way(self) -> int:
        """How much the broker has not acknowledged."""
        return self._bytes

    @property
    def is_stalled(self) -> bool:
        """True while the broker acknowledges nothing."""
        if not self._under_way:
            return False
        return self._clock.monotonic_s() - next(iter(self._under_way.values())) > STALLED_S

    def has_room(self, size: int) -> bool:
        """Whether a record of that size may be written now."""
        return self._bytes + size + _OVERHEAD_BYTES <= self._bytes_max

    async def write(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Written:
        """Write one record; returns when it is acknowledged. Raises `WriteError`."""
        size, number = len(value) + _OVERHEAD_BYTES, self._number
        self._number += 1
        self._bytes += size
        self._under_way[number] = self._clock.monotonic_s()
        try:
            sent = await self._producer.send(topic, value, key=key, partition=partition, headers=list(headers))
            told: Any = await asyncio.shield(sent)
        except MessageSizeTooLargeError as error:
            raise WriteError(f"a record of {len(value)} bytes is too large for `{topic}`", too_large=True) from error
        except KafkaError as error:
            raise WriteError(f"the broker did not take a record: {error!r}") from error
        finally:
            self._bytes -= size
            del self._under_way[number]
        return Written(told.partition, told.offset, told.timestamp)


def _paced(client: Any) -> None:
    """Have who leads a partition asked again after a pause only.

    The producer asks as soon as it was not told, thousands of times a second while no broker listens.
    """
    update = client.force_metadata_update

    async def then_pause(asked: asyncio.Future[bool]) -> bool:
        told = await asked
        if not told:
            await asyncio.sleep(ASK_AGAIN_S)
        return told

    client.force_metadata_update = lambda: asyncio.ensure_future(then_pause(update()))
