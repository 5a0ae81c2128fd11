"""Who folds which shard: a Faust app whose one agent brings records, shard by shard.

Owns the app, and telling of shards that are given and taken. Faust is asked for membership, assignment and fetching
alone: it keeps no tables, and what it drops is noticed by offsets and read again. Nothing may raise out of the agent:
Faust would take the record as done. Faust is named here only.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import faust
from faust.tables import TableManager
from faust.transport.drivers.aiokafka import Consumer
from mode.services import Service, WaitResults

from connectors.kafka_reader import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connectors.kafka_brokers import Brokers
    from engine.settings import ClusterSettings

#: Faust's own default; a record waits here only until its shard takes it.
_BUFFER: Final = 4_096
_FETCH_BYTES: Final = 8 << 20


class _NoTables(TableManager):
    """Starts at once: Faust waits a second at each start for tables that nobody makes here."""

    async def sleep(self, n: Any) -> None:
        """Wait for nobody."""


class AtOnce(Service):
    """A service that waits for nobody where the first of what it waits for needs no waiting.

    Faust makes four tasks for each record, and waits three turns of the loop for them, in which what came before is
    folded: a batch of records takes as long as their folds, and nothing is fetched meanwhile.
    """

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Wait for one of these, coroutines or events; what the others do is broken off."""
        first, *others = coros
        if timeout is None and isinstance(first, Coroutine):
            try:
                waits_for = first.send(None)
            except BaseException as end:
                for other in others:
                    if isinstance(other, Coroutine):
                        other.close()
                if isinstance(end, StopIteration):
                    return WaitResults([first], [end.value], stopped=False)
                raise
            first = _Rest(first, waits_for)
        return await super().wait_first(first, *others, timeout=timeout)


class _Rest:
    """What is left of a coroutine that was begun, and waits for something."""

    def __init__(self, begun: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._begun, self._waits_for = begun, waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        begun, waits_for = self._begun, self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the coroutine
                step = partial(begun.throw, error)
            else:
                step = partial(begun.send, sent)
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value


class _Consumer(AtOnce, Consumer):
    """Hands a record on at once where nothing holds it up."""


def _credentials(brokers: Brokers) -> Any:
    """The login in Faust's own form; None where there is none."""
    login = brokers.login
    if login.protocol.logs_in:
        return faust.SASLCredentials(
            username=login.user, password=login.password, ssl_context=brokers.tls, mechanism=login.mechanism
        )
    return None if brokers.tls is None else faust.SSLCredentials(brokers.tls)


class Membership:
    """This process as a member of the group that folds a topic.

    `given` and `taken` are told the shards, `bring` gets each record with its shard; it may wait, and must not raise.
    """

    def __init__(
        self,
        cluster: ClusterSettings,
        brokers: Brokers,
        topic: str,
        *,
        group: str,
        instance: str | None,
        given: Callable[[set[int]], Awaitable[None]],
        taken: Callable[[set[int]], Awaitable[None]],
        bring: Callable[[int, Record], Awaitable[None]],
    ) -> None:
        self._topic = topic
        self._folder = TemporaryDirectory(prefix="nearcast-")  # Faust wants one, and writes nothing into it
        self.app = faust.App(
            group,
            broker=";".join(f"kafka://{broker}" for broker in brokers.servers),
            broker_credentials=_credentials(brokers),
            store="memory://",
            datadir=self._folder.name,
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            broker_session_timeout=cluster.session_ms / 1000,
            broker_heartbeat_interval=max(1.0, cluster.session_ms / 5_000),
            broker_request_timeout=max(40.0, cluster.session_ms / 1000 + 1),
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=_FETCH_BYTES,
            consumer_group_instance_id=instance,
            stream_buffer_maxsize=_BUFFER,
            stream_wait_empty=False,
            producer_linger_ms=0,
            TableManager=_NoTables,
        )
        transport: Any = self.app.transport
        transport.Consumer = _Consumer
        source = self.app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")

        async def fold(stream: Any) -> None:
            async for event in stream.events():
                message = event.message
                record = Record(message.offset, round(message.timestamp * 1000), message.value or b"")
                await bring(message.partition, record)

        self.app.agent(source, isolated_partitions=True, name=f"{group}.fold")(fold)

        async def tell_given(_app: Any, assigned: Any, **_: Any) -> None:
            await given(self._shards(assigned))

        async def tell_taken(_app: Any, revoked: Any, **_: Any) -> None:
            await taken(self._shards(revoked))

        self._handlers = (tell_given, tell_taken)
        app: Any = self.app
        app.on_partitions_assigned.connect(tell_given)
        app.on_partitions_revoked.connect(tell_taken)

    @property
    def is_rebalancing(self) -> bool:
        """True while shards are being given out."""
        return bool(self.app.rebalancing)

    @property
    def crash(self) -> BaseException | None:
        """What ended the app, if anything did."""
        reason: BaseException | None = self.app.crash_reason
        return reason

    async def start(self) -> None:
        """Join."""
        self.app.finalize()
        await self.app.start()

    async def stop(self) -> None:
        """Leave."""
        await self.app.stop()
        self._folder.cleanup()

    def _shards(self, partitions: Any) -> set[int]:
        return {tp.partition for tp in partitions if tp.topic == self._topic}
