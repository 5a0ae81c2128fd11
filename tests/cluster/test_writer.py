"""What writes to Kafka while no broker listens: it waits, asks in good measure, and writes when there is one again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.clock import MachineClock
from connectors.kafka_writer import ASK_AGAIN_S, KafkaWriter, WriteError
from tests.cluster.fleet import brokers_of
from tests.cluster.servers import Kafka, need_servers
from tests.live.process import live, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PARTITIONS = 8


@asynccontextmanager
async def written_to(folder: Path) -> AsyncIterator[tuple[Kafka, KafkaWriter]]:
    """A broker with a topic `t`, and a writer that has begun; both end after."""
    need_servers()
    kafka = Kafka(folder)
    await asyncio.to_thread(kafka.start)
    writer = KafkaWriter(brokers_of(kafka), client="test", clock=MachineClock())
    try:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.brokers)
        await admin.start()
        await admin.create_topics([NewTopic("t", PARTITIONS, 1)])
        await admin.close()
        await writer.start()
        yield kafka, writer
    finally:
        await writer.stop()
        kafka.kill()


@live(240)
async def test_a_broker_that_is_away_is_asked_for_in_good_measure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with written_to(tmp_path) as (kafka, writer):
        loop = asyncio.get_running_loop()
        caplog.set_level(logging.ERROR, "aiokafka")
        since_s, stopping = loop.time(), asyncio.create_task(asyncio.to_thread(kafka.stop))
        writing = []
        while not stopping.done():  # before it ends it says that nobody leads any more
            writing += [asyncio.create_task(writer.write("t", b"value", partition=p)) for p in range(PARTITIONS)]
            await asyncio.sleep(0.02)
        await until(lambda: writer.is_stalled, "it is seen that nothing is acknowledged", 60)
        asked = sum("Unable to update metadata" in record.message for record in caplog.records)
        assert 0 < asked <= 2 + (loop.time() - since_s) / ASK_AGAIN_S
        await asyncio.to_thread(kafka.start)
        assert {(await one).partition for one in writing} == set(range(PARTITIONS))


@live(120)
async def test_a_producer_whose_numbers_have_a_gap_is_replaced(tmp_path: Path) -> None:
    async with written_to(tmp_path) as (_, writer):
        assert (await writer.write("t", b"before", partition=3)).offset == 0
        # as a batch that had its numbers and was given up, or a broker that lost its newest records, leaves it
        writer._producer._txn_manager.increment_sequence_number(TopicPartition("t", 3), 5)
        with pytest.raises(WriteError, match="OutOfOrderSequenceNumber"):
            await writer.write("t", b"in the gap", partition=3)
        assert writer.is_stalled
        await until(lambda: not writer.is_stalled, "a new producer is there", 60)
        assert (await writer.write("t", b"after", partition=3)).offset == 1
        assert (await writer.write("t", b"elsewhere", partition=4)).offset == 0
