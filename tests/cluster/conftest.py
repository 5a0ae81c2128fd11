"""One Redis and one Kafka for all tests of the scaled-out form; each test has names of its own in them."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both, running."""
    need_servers()
    folder = tmp_path_factory.mktemp("servers")
    found = Servers(Redis(folder / "redis"), Kafka(folder / "kafka"))
    try:
        found.redis.start()
        found.kafka.start()
        yield found
    finally:
        found.redis.stop()
        found.kafka.stop()
