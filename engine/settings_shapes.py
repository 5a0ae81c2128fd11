"""The form of `nearcast.yaml`: its keys and what may stand under them.

Owns the file's form and with it its JSON Schema. What the settings mean is `engine/settings.py`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from engine.detection_block import DETECTION, DetectionBlock
from engine.fillable import Fillable
from engine.listen import parse_listen
from engine.settings import (
    ChannelSettings,
    ClusterSettings,
    ConsoleSettings,
    FileSettings,
    Keep,
    Keys,
    LogLevel,
    PingLimits,
    WebhookSettings,
)
from engine.settings_cluster import CLUSTER
from rules.scalars import Duration, Quantity, Text, Whole, Word, Zone, size
from rules.shapes import Desk, Fields, Key, Listing, Record, Shape, Table

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Json

CHANNEL_NAME: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"
_RATE: Final = r"^(none|[0-9]{1,6}(?:\.[0-9]{1,3})?/s)$"
_UNLIMITED: Final = float("inf")
#: A single ping with all its fields takes less.
_BODY_BYTES_MIN: Final = 1_024


def _parse_rate(text: str) -> float | None:
    if not re.fullmatch(_RATE, text):
        return None
    return _UNLIMITED if text == "none" else float(text.removesuffix("/s")) or None


class OrNothing(Shape[Any]):
    """A block that may be left empty, as when all its lines are commented out: then it is as if it were not there."""

    def __init__(self, shape: Shape[Any], nothing: Any) -> None:
        self.shape = shape
        self.nothing = nothing

    def read(self, node: Node, desk: Desk) -> Any:
        if node.is_scalar and node.value is None:
            return self.nothing
        return self.shape.read(node, desk)

    def schema(self) -> Json:
        return {"anyOf": [self.shape.schema(), {"type": "null"}]}


def _webhook(record: Record) -> WebhookSettings:
    if record.has("secret") and record.has("secrets"):
        record.wrong("secret", "cannot stand beside `secrets`", "put it into that list")
    secret = record.get("secret")
    return WebhookSettings(
        name=str(record.node.name),
        url=record.get("url", ""),
        secrets=(secret,) if secret is not None else tuple(record.get("secrets", ())),
        timeout_ms=record.get("timeout", 5_000),
        concurrency=record.get("concurrency", 64),
    )


def _file(record: Record) -> FileSettings:
    node = record.at("path")
    return FileSettings(str(record.node.name), record.get("path"), node.line, node.column)


_KIND = Key(Word("webhook", "file", "console"), "where messages go", required=True)
_KINDS: dict[str, Fields[ChannelSettings]] = {
    "webhook": Fields(
        "a webhook channel",
        {
            "kind": _KIND,
            "url": Key(Fillable("url"), "where to post; may be `${NAME}`", required=True),
            "secret": Key(Fillable("secret"), "short for `secrets` with one"),
            "secrets": Key(
                Listing(Fillable("secret"), most=4), "each signs every request (Standard Webhooks); may be `${NAME}`"
            ),
            "timeout": Key(Duration("5s", most=120_000), "how long an attempt may take (5s)"),
            "concurrency": Key(Whole(1, 4_096), "how many attempts at a time (64)"),
        },
        _webhook,
        always=True,
    ),
    "file": Fields(
        "a file channel",
        {"kind": _KIND, "path": Key(Fillable("path"), "the file, seen from the site's folder", required=True)},
        _file,
    ),
    "console": Fields("a console channel", {"kind": _KIND}, lambda record: ConsoleSettings(str(record.node.name))),
}


class ChannelShape(Shape[ChannelSettings]):
    """One channel, told apart by its `kind`."""

    def read(self, node: Node, desk: Desk) -> ChannelSettings | None:
        kind = node.get("kind")
        if node.is_mapping and kind is None:
            desk.wrong(node, "needs a `kind`", "add `kind: webhook`, `file` or `console`")
            return None
        fields = _KINDS.get(kind.text) if kind is not None and kind.is_scalar else None
        if fields is not None:
            return fields.read(node, desk)
        if kind is None:
            desk.needs(node, "a channel, a mapping with `kind`")
        else:
            _KIND.shape.read(kind, desk)
        return None

    def schema(self) -> Json:
        cases = []
        for word, fields in _KINDS.items():
            case = fields.schema()
            case["properties"]["kind"] = {"const": word}
            cases.append(case)
        return {"oneOf": cases}


def _keys(record: Record) -> Keys:
    ingest, admin = record.get("ingest", []), record.get("admin", [])
    if set(ingest) & set(admin):
        record.wrong("admin", "holds an ingest key, which is public", "make another key for it")
    return Keys(tuple(ingest), tuple(admin))


def _ping(record: Record) -> PingLimits:
    plain = PingLimits()
    rate = record.get("max_rate_per_device", _UNLIMITED)
    if record.get("max_body", plain.max_body_bytes) < _BODY_BYTES_MIN:
        record.wrong("max_body", "would refuse every ping", f"allow at least `{_BODY_BYTES_MIN}B`")
    return PingLimits(
        max_age_ms=record.get("max_age", plain.max_age_ms),
        max_ahead_ms=record.get("max_ahead", plain.max_ahead_ms),
        max_body_bytes=record.get("max_body", plain.max_body_bytes),
        max_batch=record.get("max_batch", plain.max_batch),
        max_rate_per_device=None if rate == _UNLIMITED else rate,
    )


def _keep(record: Record) -> Keep:
    plain = Keep()
    return Keep(
        pings_ms=record.get("pings", plain.pings_ms),
        events_ms=record.get("events", plain.events_ms),
        decisions_ms=record.get("decisions", plain.decisions_ms),
    )


_KEY_LIST = OrNothing(Listing(Fillable("key"), least=0, most=1_000), [])
KEYS: Final[dict[str, Key]] = {
    "listen": Key(
        Quantity(
            "an address", "127.0.0.1:8080", r"^(\[.+\]|[^:]+):[0-9]{1,5}$", parse_listen, "write host, `:` and port"
        ),
        "where to listen (127.0.0.1:8080); beyond this machine only with ingest and admin keys",
    ),
    "keys": Key(
        OrNothing(
            Fields(
                "keys",
                {
                    "ingest": Key(_KEY_LIST, "may post pings and events; one inside an app is public"),
                    "admin": Key(_KEY_LIST, "may do everything"),
                },
                _keys,
            ),
            Keys(),
        ),
        "bearer keys of the HTTP interface; may be `${NAME}`",
    ),
    "timezone": Key(Zone(), "where neither place nor user has one (UTC)"),
    "store": Key(Fillable("path"), "the store's file, seen from the site's folder (var/nearcast.db)"),
    "detection": Key(OrNothing(DETECTION, DetectionBlock()), "how presence is judged at fences that do not say"),
    "ping": Key(
        OrNothing(
            Fields(
                "ping",
                {
                    "max_age": Key(Duration("24h"), "an older ping is `too_old` (24h)"),
                    "max_ahead": Key(Duration("60s", least=0), "one farther ahead is `in_future` (60s)"),
                    "max_body": Key(size(), "a larger body, unpacked, is refused (1MiB)"),
                    "max_batch": Key(Whole(1, 1_000_000), "so many pings a request (10000)"),
                    "max_rate_per_device": Key(
                        Quantity("a rate", "10/s", _RATE, _parse_rate, "write pings a second, or `none`"),
                        "so many pings a second and device (none)",
                    ),
                },
                _ping,
            ),
            PingLimits(),
        ),
        "what of a ping is too much",
    ),
    "keep": Key(
        OrNothing(
            Fields(
                "keep",
                {
                    "pings": Key(Duration("7d"), "the journal, for replay (7d)"),
                    "events": Key(Duration("365d"), "events and visits, for audiences (365d)"),
                    "decisions": Key(Duration("90d"), "decisions, for explain (90d)"),
                },
                _keep,
            ),
            Keep(),
        ),
        "how long the store keeps what",
    ),
    "channels": Key(
        OrNothing(Table(ChannelShape(), pattern=CHANNEL_NAME, example="push"), {}),
        "where an action goes, by name; with none, messages are only printed",
    ),
    "metrics": Key(
        OrNothing(
            Fields(
                "metrics",
                {"max_rules": Key(Whole(0, 100_000), "above so many rules the label `rule` becomes `*` (200)")},
                lambda record: record.get("max_rules", 200),
            ),
            200,
        ),
        "what is measured",
    ),
    "test_users": Key(
        OrNothing(Listing(Text(most=256), least=0), []), "who may get the messages of rules in `state: test`"
    ),
    "cluster": Key(OrNothing(CLUSTER, ClusterSettings()), "the scaled-out form: Kafka, Redis, gateways, workers"),
    "logs": Key(
        OrNothing(
            Fields(
                "logs",
                {"level": Key(Word(*LogLevel), "how much is logged (info)")},
                lambda record: record.get("level", "info"),
            ),
            "info",
        ),
        "what is logged",
    ),
}


def settings_schema() -> Json:
    """The JSON Schema of `nearcast.yaml`."""
    plain: Fields[None] = Fields(
        "the settings", KEYS, lambda _: None, doc="The settings of a Nearcast site. All have defaults."
    )
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "nearcast.yaml"} | plain.schema()
