"""What is asked of the store: decisions, deliveries, frames, versions of the site.

Owns the queries and the shape of their answers. Must not know who asks, nor how connections are come by.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import orjson

from connectors.store_errors import RESTORE
from engine.decided import Decided
from engine.outward import delivery_line, message_of
from engine.ports import Delivery, DeliveryState, StoreDamagedError, StoredFrame

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from engine.ports import DecisionQuery
    from rules.facts import Decision

#: Frames read at a time: readers must not hold the log open for long.
FRAMES_AT_A_TIME = 64
_DELIVERY = """key, decision, rule, user, channel, body, created_ms, expires_ms, tags, place, test, at_most_once,
    received_ms, state, attempts, attempt_open, ended_ms, detail"""


def last_seq(connection: sqlite3.Connection) -> int:
    """The number of the newest frame, 0 in a new store. Frames may be gone up to a checkpoint that is kept."""
    row = connection.execute(
        "SELECT max(coalesce((SELECT max(seq) FROM journal), 0), coalesce((SELECT max(seq) FROM checkpoints), 0))"
    ).fetchone()
    return int(row[0])


def frames_after(connection: sqlite3.Connection, seq: int, path: str) -> list[StoredFrame]:
    """Some of the kept frames after `seq`, in order; none at the end. Raises `StoreError` when one is damaged."""
    rows = connection.execute(
        "SELECT seq, now_ms, crc, data FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (seq, FRAMES_AT_A_TIME)
    ).fetchall()
    frames: list[StoredFrame] = []
    for number, now_ms, crc, data in rows:
        if zlib.crc32(data) != crc:
            raise StoreDamagedError(f"store `{path}`: frame `{number}` is damaged, {RESTORE}")
        frames.append(StoredFrame(number, now_ms, data))
    return frames


def decisions(connection: sqlite3.Connection, query: DecisionQuery) -> list[dict[str, Any]]:
    """Lines of kept decisions, newest first."""
    wheres: list[str] = []
    values: list[object] = []
    for where, value in (
        ("user = ?", query.user),
        ("rule = ?", query.rule),
        ("device = ?", query.device),
        ("occasion_ms = ?", query.occasion_ms),
        ("time_ms >= ?", query.since_ms),
    ):
        if value is not None:
            wheres.append(where)
            values.append(value)
    where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
    rows = connection.execute(
        f"SELECT line FROM decisions {where} ORDER BY time_ms DESC, rowid DESC LIMIT ?", (*values, query.limit)
    )
    return [orjson.loads(line) for (line,) in rows]


def count_differences(connection: sqlite3.Connection, made: Sequence[Decision]) -> int:
    """How many of these decisions are kept with another outcome or reason."""
    count = 0
    for decision in made:
        row = connection.execute("SELECT outcome, reason FROM decisions WHERE key = ?", (decision.key,)).fetchone()
        count += row is not None and row != (decision.outcome.value, decision.reason.value)
    return count


def decisions_of(connection: sqlite3.Connection, user: str) -> list[dict[str, Any]]:
    """Lines of all kept decisions of a user, oldest first."""
    rows = connection.execute("SELECT line FROM decisions WHERE user = ? ORDER BY time_ms, rowid", (user,))
    return [orjson.loads(line) for (line,) in rows]


def decided_of(connection: sqlite3.Connection, user: str, limit: int) -> list[Decided]:
    """A user's newest kept decisions, as they are handed on."""
    rows = connection.execute(
        "SELECT key, user, rule, time_ms, line FROM decisions WHERE user = ? ORDER BY time_ms DESC, rowid DESC LIMIT ?",
        (user, limit),
    )
    return [Decided(*row) for row in rows]


def all_deliveries_of(connection: sqlite3.Connection, user: str) -> list[Delivery]:
    """All kept deliveries of a user, oldest first."""
    rows = connection.execute(f"SELECT {_DELIVERY} FROM deliveries WHERE user = ? ORDER BY created_ms, rowid", (user,))
    return [_delivery(row) for row in rows]


def deliveries(connection: sqlite3.Connection, *, outcome: str | None, limit: int) -> list[dict[str, Any]]:
    """Lines of kept deliveries, newest first."""
    where, values = ("", ()) if outcome is None else ("WHERE state = ?", (outcome,))
    rows = connection.execute(
        f"SELECT {_DELIVERY} FROM deliveries {where} ORDER BY created_ms DESC, rowid DESC LIMIT ?", (*values, limit)
    )
    return [delivery_line(_delivery(row)) for row in rows]


def deliveries_of(connection: sqlite3.Connection, user: str) -> list[dict[str, Any]]:
    """Lines of all kept deliveries of a user, each with what was handed over, oldest first."""
    rows = connection.execute(f"SELECT {_DELIVERY} FROM deliveries WHERE user = ? ORDER BY created_ms, rowid", (user,))
    return [{**delivery_line(_delivery(row)), "message": orjson.loads(row[5])} for row in rows]


def delivery(connection: sqlite3.Connection, key: str) -> Delivery | None:
    """One delivery, whatever its state."""
    row = connection.execute(f"SELECT {_DELIVERY} FROM deliveries WHERE key = ?", (key,)).fetchone()
    return None if row is None else _delivery(row)


def pending(connection: sqlite3.Connection) -> list[Delivery]:
    """Deliveries that have not ended, oldest first."""
    rows = connection.execute(f"SELECT {_DELIVERY} FROM deliveries WHERE state = 'pending' ORDER BY created_ms, rowid")
    return [_delivery(row) for row in rows]


def messages(connection: sqlite3.Connection, decision: str) -> list[dict[str, Any]]:
    """The messages of a decision, as they stand in the answer to `?wait`, in the order of its actions."""
    rows = connection.execute("SELECT body FROM deliveries WHERE decision = ? ORDER BY rowid", (decision,))
    return [message_of(body) for (body,) in rows]


def _delivery(row: tuple[Any, ...]) -> Delivery:
    return Delivery(
        key=row[0],
        decision=row[1],
        rule=row[2],
        user=row[3],
        channel=row[4],
        body=row[5],
        created_ms=row[6],
        expires_ms=row[7],
        tags=tuple(orjson.loads(row[8])),
        place=row[9],
        test=bool(row[10]),
        at_most_once=bool(row[11]),
        received_ms=row[12],
        state=DeliveryState(row[13]),
        attempts=row[14],
        attempt_open=bool(row[15]),
        ended_ms=row[16],
        detail=row[17],
    )
