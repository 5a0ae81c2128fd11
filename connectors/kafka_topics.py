"""The topics of a cluster: their names, how they must be set, making them, and refusing those that are set otherwise.

Owns what each topic needs to lose nothing. Must not know what is in the records. Durations are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from connectors.kafka_admin import Admin
from engine.ports import StoreError

if TYPE_CHECKING:
    from connectors.kafka_brokers import Brokers
    from engine.settings import ClusterSettings, Keep

#: A frame may be larger than `cluster.frame`, when one request holds more: so large at most.
RECORD_BYTES_MAX: Final = 4 << 20
#: A worker must find what it has not folded yet. Less is kept by nobody who means it.
RETENTION_LEAST_MS: Final = 3_600_000
_EXISTS: Final = 36
#: A dead letter is looked at by people.
_DEAD_MS: Final = 14 * 86_400_000


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a cluster's topics and groups."""

    name: str

    @property
    def pings(self) -> str:
        """Frames, by device; and what concerns a user, by user. The truth."""
        return f"{self.name}.pings"

    @property
    def raw(self) -> str:
        """Single pings of others, as JSON, by device."""
        return f"{self.name}.pings.raw"

    @property
    def dead(self) -> str:
        """Frames and pings that could not be read or folded."""
        return f"{self.name}.pings.dead"

    @property
    def decisions(self) -> str:
        """Decisions with what is to be delivered, by user."""
        return f"{self.name}.decisions"

    @property
    def transitions(self) -> str:
        """Transitions as JSON, by device."""
        return f"{self.name}.transitions"

    def group(self, role: str) -> str:
        """The consumer group of a role."""
        return f"{self.name}.{role}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a topic must be. `settings` are those that are set when it is made and looked at when it is there."""

    topic: str
    partitions: int
    settings: dict[str, str]


def wanted(cluster: ClusterSettings, keep: Keep) -> tuple[Wanted, ...]:
    """The topics of a cluster."""
    names = Names(cluster.name)
    log = {
        "cleanup.policy": "delete",
        "retention.ms": str(keep.pings_ms),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "min.insync.replicas": str(in_sync(cluster.replicas)),
    }
    return (
        Wanted(names.pings, cluster.partitions, log),
        Wanted(names.raw, cluster.partitions, log | {"message.timestamp.type": "CreateTime"}),
        Wanted(names.decisions, cluster.partitions, log),
        Wanted(names.transitions, cluster.partitions, log),
        Wanted(names.dead, 1, log | {"retention.ms": str(min(_DEAD_MS, keep.pings_ms))}),
    )


def in_sync(replicas: int) -> int:
    """How many replicas must have a record before it is acknowledged."""
    return 2 if replicas >= 3 else 1


async def make_topics(brokers: Brokers, cluster: ClusterSettings, keep: Keep) -> list[str]:
    """Make the topics that are missing; returns their names. Raises `StoreError`."""
    async with Admin(brokers, cluster.name) as admin:
        new = [
            NewTopic(w.topic, w.partitions, cluster.replicas, topic_configs=w.settings) for w in wanted(cluster, keep)
        ]
        answer = await admin.create_topics(new)
        made = []
        for topic, code, *rest in answer.topic_errors:
            if code == 0:
                made.append(topic)
            elif code != _EXISTS:
                why = next((text for text in rest if text), for_code(code).__name__)
                raise StoreError(f"topic `{topic}` cannot be made: {why}")
        return made


async def check_topics(brokers: Brokers, cluster: ClusterSettings, keep: Keep) -> int:
    """Refuse topics that are missing or set so that something would be lost; returns the number of shards.

    Raises `StoreError`, with all that is wrong in one line.
    """
    want = wanted(cluster, keep)
    async with Admin(brokers, cluster.name) as admin:
        described = {t["topic"]: t for t in await admin.describe_topics([w.topic for w in want])}
        missing = [w.topic for w in want if described.get(w.topic, {}).get("error_code", 3) != 0]
        if missing:
            raise StoreError(
                f"topics {', '.join(f'`{t}`' for t in missing)} are not there, make them with"
                " `nearcast worker SITE --create-topics`"
            )
        found = await _settings(admin, [w.topic for w in want])
    wrong = [what for w in want for what in _wrong(w, found[w.topic], keep)]
    shards = len(described[want[0].topic]["partitions"])
    if wrong:
        raise StoreError(f"{'; '.join(wrong)}; set it with `kafka-configs --alter`")
    return shards


def _wrong(want: Wanted, found: dict[str, str], keep: Keep) -> list[str]:
    """What is wrong with a topic's settings."""
    wrong = []
    if "compact" in found.get("cleanup.policy", "delete"):
        wrong.append(f"topic `{want.topic}` is compacted, which drops frames, it needs `cleanup.policy=delete`")
    retention_ms = int(found.get("retention.ms", "-1"))
    least_ms = min(RETENTION_LEAST_MS, keep.pings_ms)
    if 0 <= retention_ms < least_ms:
        wrong.append(
            f"topic `{want.topic}` keeps records for {retention_ms} ms, a worker that takes over may need those of"
            f" the last {least_ms} ms, it needs `retention.ms={want.settings['retention.ms']}`"
        )
    elif retention_ms < 0 or retention_ms > keep.pings_ms:
        wrong.append(
            f"topic `{want.topic}` keeps records for {'ever' if retention_ms < 0 else f'{retention_ms} ms'}, longer"
            f" than `keep.pings` promises, it needs `retention.ms={want.settings['retention.ms']}`"
        )
    stamped = want.settings["message.timestamp.type"]
    if found.get("message.timestamp.type", stamped) != stamped:
        wrong.append(
            f"topic `{want.topic}` needs `message.timestamp.type={stamped}`: the broker's clock is the shards'"
        )
    if int(found.get("max.message.bytes", RECORD_BYTES_MAX)) < RECORD_BYTES_MAX:
        wrong.append(f"topic `{want.topic}` takes no large frames, it needs `max.message.bytes={RECORD_BYTES_MAX}`")
    return wrong


async def _settings(admin: Any, topics: list[str]) -> dict[str, dict[str, str]]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics])
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for _, _, _, topic, entries in answer.resources:
            found[topic] = {entry[0]: entry[1] for entry in entries}
    return found
