"""A decision on its way to whoever delivers it: the value of a record, and of what is kept for `explain`.

Owns that form and its version. New fields are optional with a default; the type of a field never changes. Must not
know who writes or reads it.
"""

from __future__ import annotations

import msgspec

from engine.outward import decision_line, to_json
from engine.ports import Delivery
from rules.facts import Decision

DECIDED_VERSION = 1


class Decided(msgspec.Struct, frozen=True):
    """One decision. `line` is its JSON as the API gives it; `deliveries` are there when it says `send`.

    `shard` and `offset` name the record that caused it. `again` counts how often somebody had it sent anew.
    """

    key: str
    user: str
    rule: str
    time_ms: int
    line: bytes
    deliveries: list[Delivery] = []
    shard: int = -1
    offset: int = -1
    again: int = 0
    v: int = DECIDED_VERSION


class DecidedError(ValueError):
    """A decision that cannot be read: broken, or of another version."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Decided).decode


def encode_decided(decided: Decided) -> bytes:
    """The value of its record."""
    return _encode(decided)


def decode_decided(data: bytes) -> Decided:
    """Read one. Raises `DecidedError`.

    >>> decode_decided(encode_decided(Decided("k", "u", "r", 5, b"{}"))).key
    'k'
    """
    try:
        decided = _decode(data)
    except msgspec.MsgspecError as error:
        raise DecidedError(f"decision of {len(data)} bytes cannot be read: {error}") from error
    if decided.v != DECIDED_VERSION:
        raise DecidedError(f"decision of version {decided.v}, this program reads {DECIDED_VERSION}")
    return decided


def decided_of(decision: Decision, deliveries: list[Delivery], shard: int, offset: int) -> Decided:
    """What is written of a decision."""
    line = to_json(decision_line(decision))
    return Decided(
        decision.key, decision.user, decision.rule, decision.time_ms, line, deliveries, shard=shard, offset=offset
    )
