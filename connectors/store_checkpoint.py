"""Checkpoints of the state: kept in parts, read whole, and rewritten when a person is forgotten.

Owns how a large state is written without holding up the commits. Must not know what the state is.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.store_errors import RESTORE
from engine.ports import Checkpoint, StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from connectors.store_access import Writer

#: A commit waits for the writing of one part at most: about a millisecond.
PART_BYTES = 256 * 1024


def save(writer: Writer, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint beside the earlier ones; one of the same frame is replaced. Half of one is none."""
    number = _write_parts(writer, checkpoint.state)
    with writer.transaction() as connection:
        old = connection.execute("SELECT id FROM checkpoints WHERE seq = ?", (checkpoint.seq,)).fetchone()
        connection.execute("DELETE FROM checkpoints WHERE seq = ?", (checkpoint.seq,))
        connection.execute(
            "INSERT INTO checkpoints (id, seq, now_ms, size, crc) VALUES (?, ?, ?, ?, ?)",
            (number, checkpoint.seq, checkpoint.now_ms, len(checkpoint.state), zlib.crc32(checkpoint.state)),
        )
    if old is not None:
        drop_parts(writer, old[0])


def newest(connection: sqlite3.Connection, path: str) -> Checkpoint | None:
    """The newest checkpoint that is whole; damaged ones are passed over, since the journal can make them anew.

    Raises `StoreError` when all are damaged.
    """
    rows = connection.execute("SELECT id, seq, now_ms, size, crc FROM checkpoints ORDER BY seq DESC").fetchall()
    for damaged, row in enumerate(rows):
        found = _read(connection, *row)
        if found is not None:
            return replace(found, damaged=damaged)
    if rows:
        raise StoreError(f"store `{path}`: its checkpoints are damaged, {RESTORE}")
    return None


def oldest_usable(connection: sqlite3.Connection, path: str) -> Checkpoint | None:
    """The oldest checkpoint from which frames follow without a gap; None when they follow from the very start.

    Raises `StoreError` when neither is there.
    """
    first = connection.execute("SELECT min(seq) FROM journal").fetchone()[0]
    if first == 1:
        return None
    rows = connection.execute("SELECT id, seq, now_ms, size, crc FROM checkpoints ORDER BY seq").fetchall()
    if first is None and not rows:
        return None
    for row in rows:
        if first is None or row[1] >= first - 1:
            found = _read(connection, *row)
            if found is not None:
                return found
    raise StoreError(f"store `{path}`: the checkpoint before frame `{first}` is missing, {RESTORE}")


def rewrite(writer: Writer, before_seq: int, change: Callable[[bytes], bytes]) -> None:
    """Put `change(state)` in the place of each checkpoint before frame `before_seq`; damaged ones are dropped."""
    with writer.statement() as connection:
        rows = connection.execute(
            "SELECT id, seq, now_ms, size, crc FROM checkpoints WHERE seq < ?", (before_seq,)
        ).fetchall()
    for row in rows:
        with writer.statement() as connection:
            found = _read(connection, *row)
        if found is None:
            drop(writer, row[1])
        else:
            save(writer, Checkpoint(found.seq, found.now_ms, change(found.state)))


def drop(writer: Writer, seq: int) -> None:
    """Drop the checkpoint of a frame."""
    with writer.transaction() as connection:
        row = connection.execute("SELECT id FROM checkpoints WHERE seq = ?", (seq,)).fetchone()
        connection.execute("DELETE FROM checkpoints WHERE seq = ?", (seq,))
    if row is not None:
        drop_parts(writer, row[0])


def drop_unfinished(writer: Writer) -> None:
    """Drop the parts of checkpoints whose writing or dropping was cut off by the end of a process."""
    with writer.statement() as connection:
        rows = connection.execute(
            "SELECT DISTINCT checkpoint FROM checkpoint_parts WHERE checkpoint NOT IN (SELECT id FROM checkpoints)"
        ).fetchall()
    for (number,) in rows:
        drop_parts(writer, number)


def drop_parts(writer: Writer, number: int) -> None:
    """Drop the parts of one checkpoint, one by one."""
    while True:
        with writer.statement() as connection:
            found = connection.execute(
                """DELETE FROM checkpoint_parts WHERE (checkpoint, part) IN
                   (SELECT checkpoint, part FROM checkpoint_parts WHERE checkpoint = ? LIMIT 1)""",
                (number,),
            )
            if found.rowcount == 0:
                return


def _write_parts(writer: Writer, state: bytes) -> int:
    with writer.statement() as connection:
        row = connection.execute(
            """SELECT max(coalesce((SELECT max(checkpoint) FROM checkpoint_parts), 0),
                          coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'checkpoints'), 0)) + 1"""
        ).fetchone()
    number = int(row[0])
    for part, start in enumerate(range(0, len(state), PART_BYTES)):
        with writer.statement() as connection:
            connection.execute(
                "INSERT INTO checkpoint_parts VALUES (?, ?, ?)", (number, part, state[start : start + PART_BYTES])
            )
    return number


def _read(connection: sqlite3.Connection, number: int, seq: int, now_ms: int, size: int, crc: int) -> Checkpoint | None:
    parts = connection.execute("SELECT data FROM checkpoint_parts WHERE checkpoint = ? ORDER BY part", (number,))
    state = b"".join(data for (data,) in parts)
    if len(state) != size or zlib.crc32(state) != crc:
        return None
    return Checkpoint(seq, now_ms, state)
