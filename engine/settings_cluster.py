"""The form of the settings' block `cluster`: how the parts of the scaled-out form find each other.

Owns that form and what in it must go together. What it means is `engine/settings.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.fillable import Fillable
from engine.settings import ClusterSettings, KafkaLogin, TlsFiles
from engine.settings_login import KAFKA, REDIS_TLS
from rules.scalars import Duration, Text, Whole, size
from rules.shapes import Fields, Key, Listing

if TYPE_CHECKING:
    from rules.shapes import Record

#: Kafka's names are letters, digits, `.`, `_` and `-`; braces would break the keys in Redis.
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
#: Kafka takes no shorter one unless its own settings are changed.
SESSION_LEAST_MS: Final = 6_000
_MIB: Final = 1 << 20


def _cluster(record: Record) -> ClusterSettings:
    plain = ClusterSettings()
    frame_bytes = record.get("frame", plain.frame_bytes)
    if not 1_024 <= frame_bytes <= _MIB:
        record.wrong("frame", "is no size for a frame", "choose from `1KiB` to `1MiB`")
    buffer_bytes = record.get("buffer", plain.buffer_bytes)
    if buffer_bytes < 4 * _MIB:
        record.wrong("buffer", "would not hold one large request", "allow at least `4MiB`")
    redis = record.get("redis", plain.redis)
    if record.get("redis_tls") and redis.startswith(("redis://", "redis+cluster://")):
        record.wrong("redis", "is not encrypted, `redis_tls` would not be used", "begin it with `rediss://`")
    return ClusterSettings(
        named=True,
        name=record.get("name", plain.name),
        brokers=tuple(record.get("brokers", plain.brokers)),
        kafka=record.get("kafka", KafkaLogin()),
        redis=redis,
        redis_tls=record.get("redis_tls", TlsFiles()),
        partitions=record.get("partitions", plain.partitions),
        replicas=record.get("replicas", plain.replicas),
        linger_ms=record.get("linger", plain.linger_ms),
        frame_bytes=frame_bytes,
        buffer_bytes=buffer_bytes,
        session_ms=record.get("session", plain.session_ms),
        stuck_ms=record.get("stuck", plain.stuck_ms),
    )


CLUSTER: Final[Fields[ClusterSettings]] = Fields(
    "cluster",
    {
        "name": Key(
            Text(pattern=_NAME, example="nearcast", most=100),
            "begins the names of topics, consumer groups and keys in Redis; one a site (nearcast)",
        ),
        "brokers": Key(
            Listing(Fillable("broker"), least=1, most=100), "Kafka's bootstrap servers, host:port; may be `${NAME}`"
        ),
        "kafka": Key(KAFKA, "how the brokers are talked to, and as whom (PLAINTEXT)"),
        "redis": Key(
            Fillable("redis"),
            "redis://, rediss:// or redis+cluster://host:port; may be `${NAME}` (redis://127.0.0.1:6379/0)",
        ),
        "redis_tls": Key(REDIS_TLS, "files for `rediss://`; the machine's own list without"),
        "partitions": Key(Whole(1, 10_000), "partitions of topics that are made: the shards of the devices (12)"),
        "replicas": Key(Whole(1, 100), "replicas of topics that are made; from 3 on, 2 must be in sync (3)"),
        "linger": Key(Duration("5ms", least=0, most=1_000), "how long a gateway gathers pings into a frame (5ms)"),
        "frame": Key(size(), "a frame that holds so much is sent at once (64KiB)"),
        "buffer": Key(size(), "what a gateway holds unacknowledged at most; beyond it answers 503 (64MiB)"),
        "session": Key(
            Duration("10s", least=SESSION_LEAST_MS, most=600_000), "a worker silent for so long loses its shards (10s)"
        ),
        "stuck": Key(Duration("60s", least=5_000), "a worker without progress for so long ends itself (60s)"),
    },
    _cluster,
)
