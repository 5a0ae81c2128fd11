"""Writing records to Kafka: acknowledged by all replicas in sync, in order, each once.

Owns the producer, and how much may be under way. Must not know what is in the records. A record is repeated by the
producer until the broker acknowledges it, however long that takes: what is given up on the way may still be written.
A producer that the broker will take nothing from any more is replaced by a new one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from connectors.kafka_topics import RECORD_BYTES_MAX
from engine.ports import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.clock import Clock
    from connectors.kafka_brokers import Brokers

log = structlog.get_logger("nearcast.kafka")

#: A broker that has not acknowledged for so long is away.
STALLED_S: Final = 2.0
#: A broker to which nothing is written is asked whether it is there after each of these.
LOOK_S: Final = 1.0
#: What one request to the broker may take, all tries together.
_REQUEST_MS: Final = 40_000
_OVERHEAD_BYTES: Final = 256
#: While no broker answers it is asked again after this.
ASK_AGAIN_S: Final = 0.1
#: After these the broker refuses all that the producer numbers from there on. A batch that expires when it was sent
#: once, and a broker that lost its newest records, leave such a gap.
_BEYOND_REPAIR: Final = (
    InvalidProducerEpoch, InvalidProducerIdMapping, OutOfOrderSequenceNumber, ProducerFenced, UnknownProducerId
)  # fmt: skip


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

    def __init__(self, brokers: Brokers, *, client: str, clock: Clock, bytes_max: int = 256 << 20) -> None:
        self._brokers, self._client = brokers, client
        self._producer = self._made()
        self._renewing: asyncio.Task[None] | None = None
        self._clock = clock
        self._bytes_max = bytes_max
        self._bytes = 0
        self._under_way: dict[int, float] = {}
        self._number = 0
        self._silent = False

    def _made(self) -> Any:
        producer = AIOKafkaProducer(
            **self._brokers.options,
            client_id=self._client,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=1 << 20,
            max_request_size=RECORD_BYTES_MAX + (64 << 10),
            request_timeout_ms=_REQUEST_MS,
        )
        _paced(producer.client)
        return producer

    async def start(self) -> None:
        """Connect. Raises `StoreError`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise await self._brokers.why_not() from error

    async def stop(self, within_s: float = 3.0) -> None:
        """Write what is under way, for so long, and end."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
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
        """True while the broker acknowledges nothing: what is written now would wait for long."""
        if self._is_renewing:
            return True
        if not self._under_way:
            return False
        return self._clock.monotonic_s() - next(iter(self._under_way.values())) > STALLED_S

    @property
    def is_away(self) -> bool:
        """True while it is stalled and, where nothing is written, while the broker does not answer `watch`.

        Of several brokers one that hangs may keep that answer back: a write may be tried all the same.
        """
        return self.is_stalled or (self._silent and not self._under_way)

    async def watch(self) -> None:
        """Ask for the broker while nothing is written, or nobody would notice that it is away. Never returns."""
        while True:
            await asyncio.sleep(LOOK_S)
            silent = not self._under_way and not self._is_renewing and not await self._answers()
            if silent != self._silent:
                self._silent = silent
                if silent:
                    log.warning("the broker does not answer", client=self._client)
                else:
                    log.info("the broker answers again", client=self._client)

    async def _answers(self) -> bool:
        try:
            return bool(await asyncio.wait_for(self._producer.client.force_metadata_update(), STALLED_S))
        except TimeoutError:
            return False

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
        producer = self._producer
        try:
            sent = await producer.send(topic, value, key=key, partition=partition, headers=list(headers))
            told: Any = await asyncio.shield(sent)
        except MessageSizeTooLargeError as error:
            raise WriteError(f"a record of {len(value)} bytes is too large for `{topic}`", too_large=True) from error
        except KafkaError as error:
            if isinstance(error, _BEYOND_REPAIR) or type(error) is KafkaError:  # the latter: its task has ended
                self._renew(producer, error)
            raise WriteError(f"the broker did not take a record: {error!r}") from error
        finally:
            self._bytes -= size
            del self._under_way[number]
        return Written(told.partition, told.offset, told.timestamp)

    @property
    def _is_renewing(self) -> bool:
        return self._renewing is not None and not self._renewing.done()

    def _renew(self, broken: Any, error: KafkaError) -> None:
        """Have a new producer in place of a broken one; until then nothing is taken."""
        if broken is self._producer and not self._is_renewing:
            log.warning("a new producer begins, the broker refuses the old one", client=self._client, why=repr(error))
            self._renewing = asyncio.create_task(self._renewed(broken))

    async def _renewed(self, broken: Any) -> None:
        try:
            await asyncio.wait_for(broken.stop(), _REQUEST_MS / 1000)  # what other partitions take of it is written
        except (TimeoutError, KafkaError, OSError) as error:
            log.warning("the old producer did not end as it should", client=self._client, why=repr(error))
        while self._producer is broken:
            producer = self._made()
            try:
                await producer.start()
                self._producer = producer
            except KafkaError:
                await asyncio.sleep(ASK_AGAIN_S)
            finally:
                if self._producer is not producer:  # nobody answered, or the writer ended meanwhile
                    await producer.stop()


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
