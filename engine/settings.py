"""The settings of a site: `nearcast.yaml` as values, with every default.

Owns what can be set and what it is when it is not. How it is written is `engine/settings_file.py`'s. Must not read the
environment: `${NAME}` stays as it is until `resolve_env` is given one. Durations in milliseconds, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS_FILE = "nearcast.yaml"
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Keys:
    """The bearer keys. An ingest key may be inside an app, and so is public; an admin key may do everything."""

    ingest: tuple[str, ...] = field(default=(), repr=False)
    admin: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class PingLimits:
    """What of a ping, a request and a device is too much. `max_rate_per_device` is pings a second, None: no limit."""

    max_age_ms: int = _DAY_MS
    max_ahead_ms: int = 60_000
    max_body_bytes: int = 1 << 20
    max_batch: int = 10_000
    max_rate_per_device: float | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """How long the store keeps what."""

    pings_ms: int = 7 * _DAY_MS
    events_ms: int = 365 * _DAY_MS
    decisions_ms: int = 90 * _DAY_MS


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM, seen from the site's folder. `ca` is who vouches for the other side; None: the machine's own list.

    `certificate` and `key` are what this side shows of itself; the key may stand in the certificate's file.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class KafkaProtocol(StrEnum):
    """How a broker is talked to, in Kafka's own words."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def is_encrypted(self) -> bool:
        """Whether it is TLS."""
        return self in (KafkaProtocol.SSL, KafkaProtocol.SASL_SSL)

    @property
    def logs_in(self) -> bool:
        """Whether a user is named."""
        return self in (KafkaProtocol.SASL_PLAINTEXT, KafkaProtocol.SASL_SSL)


#: The ways to log in at a broker.
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@dataclass(frozen=True, slots=True)
class KafkaLogin:
    """How the brokers are talked to, and as whom. `mechanism`, `user` and `password` go with the protocols of SASL."""

    protocol: KafkaProtocol = KafkaProtocol.PLAINTEXT
    tls: TlsFiles = TlsFiles()
    mechanism: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """The scaled-out form. `name` begins the names of all topics and of all keys in Redis.

    `partitions` and `replicas` are those of topics that are made. A frame is closed after `linger_ms` or when it holds
    `frame_bytes`; a gateway holds `buffer_bytes` that the broker has not acknowledged. A worker that was not heard of
    for `session_ms` loses its shards; one that makes no progress for `stuck_ms` ends itself. `named` is whether the
    file has the block at all.
    """

    named: bool = False
    name: str = "nearcast"
    brokers: tuple[str, ...] = ("127.0.0.1:9092",)
    kafka: KafkaLogin = KafkaLogin()
    redis: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    redis_tls: TlsFiles = TlsFiles()
    partitions: int = 12
    replicas: int = 3
    linger_ms: int = 5
    frame_bytes: int = 64 << 10
    buffer_bytes: int = 64 << 20
    session_ms: int = 10_000
    stuck_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A channel that posts, signed with each of `secrets` (Standard Webhooks)."""

    name: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    timeout_ms: int = 5_000
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A channel that appends lines to a file. `path` is relative to the site's folder, and stands at `line`."""

    name: str
    path: str
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """A channel that prints."""

    name: str


ChannelSettings = WebhookSettings | FileSettings | ConsoleSettings


@dataclass(frozen=True, slots=True, order=True)
class Variable:
    """A value in the file that names environment variables: its path, and where it stands."""

    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Secrets are in no repr.

    `store` is a path relative to the site's folder. `channels` are by name, in the file's order; with none,
    messages are only printed. `variables` are the values that `resolve_env` has to fill.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    keys: Keys = Keys()
    timezone: str = "UTC"
    store: str = "var/nearcast.db"
    detection: Detection = field(default_factory=Detection)
    ping: PingLimits = PingLimits()
    keep: Keep = Keep()
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    max_rules: int = 200
    test_users: frozenset[str] = frozenset()
    log_level: LogLevel = LogLevel.INFO
    cluster: ClusterSettings = ClusterSettings()
    variables: tuple[Variable, ...] = field(default=(), compare=False, repr=False)
