"""One step, as rows: what a commit writes.

Owns the statements of a commit. Must not know transactions or turns: it is called within one.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import zstandard

from engine.outward import decision_line, to_json
from engine.ports import DeliveryState
from engine.rfc3339 import instant_ms

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from engine.decided import Decided
    from engine.ports import Commit, Delivery, Ending
    from rules.facts import Decision

FRAME = "INSERT INTO journal (seq, now_ms, crc, data) VALUES (?, ?, ?, ?)"
_DECISION = "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELIVERY = "INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ENDING = """UPDATE deliveries SET state = ?, ended_ms = ?, attempts = max(attempts, ?), detail = ?, attempt_open = 0
    WHERE key = ? AND state = 'pending'"""
_RESENT = """UPDATE deliveries SET state = 'pending', expires_ms = ?, ended_ms = NULL, detail = '', attempt_open = 0
    WHERE key = ? AND state NOT IN ('pending', 'delivered')"""
_OPEN = """UPDATE deliveries SET attempt_open = 1, attempts = max(attempts, ?) WHERE key = ? AND state = 'pending'"""


def frame_row(commit: Commit) -> tuple[Any, ...]:
    """The row of the journal."""
    return (commit.seq, commit.now_ms, zlib.crc32(commit.frame), commit.frame)


def write_effects(connection: sqlite3.Connection, commit: Commit) -> None:
    """All that a step leaves behind beside its frame. The erased go last: what was decided before is gone with them."""
    if commit.decisions:
        connection.executemany(_DECISION, [_decision_row(d) for d in commit.decisions])
    if commit.deliveries:
        connection.executemany(_DELIVERY, [_delivery_row(d) for d in commit.deliveries])
    if commit.endings:
        connection.executemany(_ENDING, [_ending_row(e) for e in commit.endings])
    if commit.resent:
        connection.executemany(_RESENT, [(expires_ms, key) for key, expires_ms in commit.resent])
    if commit.erased:
        _write_erased(connection, commit)
    if commit.edited is not None:
        write_site(connection, commit.seq, *commit.edited)


def has_effects(commit: Commit) -> bool:
    """Whether a commit writes anything beside its frame."""
    return bool(
        commit.decisions
        or commit.deliveries
        or commit.endings
        or commit.resent
        or commit.erased
        or commit.edited is not None
    )


def write_kept(connection: sqlite3.Connection, decided: Sequence[Decided], deliveries: Sequence[Delivery]) -> None:
    """Decisions and deliveries that were made elsewhere, as they stand."""
    connection.executemany(_DECISION, [_decided_row(one) for one in decided])
    connection.executemany(
        _DELIVERY,
        [(*_delivery_row(d)[:13], d.state.value, d.attempts, d.attempt_open, d.ended_ms, d.detail) for d in deliveries],
    )


def write_site(connection: sqlite3.Connection, seq: int, version: str, files: dict[str, bytes]) -> None:
    """The version of the site that is in force from a frame on."""
    connection.execute("INSERT INTO sites (seq, version, files) VALUES (?, ?, ?)", (seq, version, pack(files)))


def open_attempts(connection: sqlite3.Connection, attempts: Sequence[tuple[str, int]]) -> None:
    """Record that an attempt (key, number) is about to be made."""
    connection.executemany(_OPEN, [(number, key) for key, number in attempts])


def pack(files: dict[str, bytes]) -> bytes:
    """A site's files as one value."""
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(files))


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of `pack`."""
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=dict[str, bytes])


def _write_erased(connection: sqlite3.Connection, commit: Commit) -> None:
    """The rows go, and the work that is left is noted. Who is erased anew before it is done keeps all devices."""
    users = [(user,) for user in commit.erased]
    connection.executemany("DELETE FROM decisions WHERE user = ?", users)
    connection.executemany("DELETE FROM deliveries WHERE user = ?", users)
    for user in commit.erased:
        devices = set(commit.erased_devices.get(user, ()))
        before = connection.execute("SELECT devices FROM erasures WHERE user = ?", (user,)).fetchone()
        if before is not None:
            devices.update(orjson.loads(before[0]))
        connection.execute(
            "INSERT OR REPLACE INTO erasures (user, seq, asked_ms, devices) VALUES (?, ?, ?, ?)",
            (user, commit.seq, commit.now_ms, to_json(devices)),
        )


def _decided_row(decided: Decided) -> tuple[Any, ...]:
    line = orjson.loads(decided.line)
    return (
        decided.key,
        decided.user,
        decided.rule,
        line["device"],
        instant_ms(line["occasion"]["time"]),
        decided.time_ms,
        line["outcome"],
        line["reason"],
        decided.line,
    )


def _decision_row(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.key,
        decision.user,
        decision.rule,
        decision.occasion.device,
        decision.occasion.time_ms,
        decision.time_ms,
        decision.outcome.value,
        decision.reason.value,
        to_json(decision_line(decision)),
    )


def _delivery_row(delivery: Delivery) -> tuple[Any, ...]:
    return (
        delivery.key,
        delivery.decision,
        delivery.rule,
        delivery.user,
        delivery.channel,
        delivery.body,
        delivery.created_ms,
        delivery.expires_ms,
        to_json(delivery.tags),
        delivery.place,
        delivery.test,
        delivery.at_most_once,
        delivery.received_ms,
        DeliveryState.PENDING.value,
        0,
        0,
        None,
        "",
    )


def _ending_row(ending: Ending) -> tuple[Any, ...]:
    return (ending.state.value, ending.at_ms, ending.attempts, ending.detail, ending.key)
