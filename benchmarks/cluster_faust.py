"""The peer of `benchmarks.cluster_beside`: a Faust agent that writes one table entry a ping, as its guide does.

`python -m benchmarks.cluster_faust BROKER TOPIC PARTITIONS FRAMES` takes frames of JSON, decodes them, sets each
device's entry in a table kept in memory with its changelog in Kafka, and prints how many pings a second that were.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import time
from typing import Any

import faust
import orjson


def main() -> None:
    """Run until all frames came."""
    broker, topic, partitions, frames = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    app = faust.App(
        f"{topic}-peer",
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=tempfile.mkdtemp(),
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    source = app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    table = app.Table("devices", key_type=bytes, value_type=bytes, partitions=partitions)
    seen = [0, 0, 0.0]

    async def fold(stream: Any) -> None:
        async for value in stream:
            pings = orjson.loads(value)
            for ping in pings:
                table[ping["device"].encode()] = struct.pack("<qddf", ping["time"], ping["lat"], ping["lng"], 8.0)
            seen[0] += 1
            if seen[0] == 1:  # what came before the first frame was done is not counted
                seen[2] = time.perf_counter()
                continue
            seen[1] += len(pings)
            if seen[0] == frames:
                print(seen[1] / (time.perf_counter() - seen[2]), flush=True)
                os._exit(0)

    app.agent(source)(fold)
    app.finalize()
    faust.Worker(app, loglevel="error", quiet=True, redirect_stdouts=False).execute_from_commandline()


main()
