"""One Redis and one Kafka for all tests of the scaled-out form; each test has names of its own in them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cluster.servers import Kafka, Redis, need_servers

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Servers:
    redis: Redis
    kafka: Kafka


@contextmanager
def running(servers: Servers) -> Iterator[Servers]:
    """Both, started; they end with the block."""
    try:
        servers.redis.start()
        servers.kafka.start()
        yield servers
    finally:
        servers.redis.stop()
        servers.kafka.stop()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both, running."""
    need_servers()
    folder = tmp_path_factory.mktemp("servers")
    with running(Servers(Redis(folder / "redis"), Kafka(folder / "kafka"))) as found:
        yield found
