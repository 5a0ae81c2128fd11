"""What every shard of a worker works with, and what it tells.

Owns nothing but the list. Must not know how they are made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.clock import Clock
    from connectors.kafka_partition import Partitions
    from connectors.kafka_reader import KafkaReader
    from connectors.kafka_topics import Names
    from connectors.kafka_writer import KafkaWriter
    from connectors.metrics import Metrics
    from connectors.redis_people import RedisPeople
    from connectors.redis_places import RedisPlaces
    from connectors.redis_shards import RedisShards
    from engine.ports import Delivery
    from engine.told import Transition
    from nearcast.shard_beat import Beat
    from nearcast.site_keeper import SiteKeeper
    from rules.facts import Decision


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a worker that its shards share."""

    names: Names
    partitions: Partitions
    shards: RedisShards
    people: RedisPeople
    places: RedisPlaces
    sites: SiteKeeper
    reader: KafkaReader
    writer: KafkaWriter
    metrics: Metrics
    clock: Clock
    beat: Beat


@dataclass(slots=True)
class Outcome:
    """What became of some records: all that is written out of a shard for them.

    `decided` maps users to their decisions, with the offset that caused each. `again` are the keys of a user's
    decisions that were kept before.
    """

    transitions: list[Transition] = field(default_factory=list)
    decided: dict[str, list[tuple[int, Decision, Sequence[Delivery]]]] = field(default_factory=dict)
    again: dict[str, set[str]] = field(default_factory=dict)
