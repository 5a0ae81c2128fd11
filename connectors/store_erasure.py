"""Forgetting a person: after the commit that erased them, their bytes go from older frames and checkpoints too.

Owns the order of that work: checkpoints first, then frames, the erasure's own last, so that a crash in between never
brings anything back; then the log, which still holds the pages as they were. Must not know what a checkpoint holds: a
callback rewrites it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from connectors import store_checkpoint
from connectors.store_forget import Whose, without
from connectors.store_read import frames_after
from engine.wire import decode_frame, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.store_access import Writer


@dataclass(frozen=True, slots=True)
class Erasure:
    """A user whose bytes are still to be taken out of frames up to `seq`, asked for at `asked_ms`.

    `devices` are those that they held then; others are learned from the frames.
    """

    user: str
    seq: int
    asked_ms: int
    devices: tuple[str, ...] = ()


def outstanding(writer: Writer) -> list[Erasure]:
    """Erasures that are not done, oldest first."""
    with writer.statement() as connection:
        rows = connection.execute("SELECT user, seq, asked_ms, devices FROM erasures ORDER BY asked_ms, seq").fetchall()
    return [Erasure(user, seq, asked_ms, tuple(orjson.loads(devices))) for user, seq, asked_ms, devices in rows]


def rewrite(writer: Writer, erasure: Erasure, change: Callable[[bytes], bytes], path: str) -> None:
    """Take a user out of all that was written up to their erasure. May be cut off anywhere and begun again."""
    store_checkpoint.rewrite(writer, erasure.seq, change)
    whose = Whose(erasure.user, frozenset(erasure.devices))
    with writer.statement() as connection:
        rows = connection.execute("SELECT key FROM decisions WHERE user = ?", (erasure.user,)).fetchall()
    kept = frozenset(key for (key,) in rows)
    seq = 0
    while True:
        with writer.statement() as connection:
            frames = frames_after(connection, seq, path)
        if not frames:
            break
        for stored in frames:
            seq = stored.seq
            inputs = without(decode_frame(stored.data), whose, later=seq > erasure.seq, kept=kept)
            if inputs is not None:
                data = encode_frame(stored.now_ms, inputs)
                with writer.statement() as connection:
                    connection.execute(
                        "UPDATE journal SET crc = ?, data = ? WHERE seq = ?", (zlib.crc32(data), data, seq)
                    )
    with writer.statement() as connection:
        connection.execute("DELETE FROM erasures WHERE user = ? AND seq = ?", (erasure.user, erasure.seq))


def empty_log(writer: Writer) -> bool:
    """Take the pages as they were out of the write-ahead log too. False while somebody reads the store: call again.

    It waits for no reader: whoever has the writer's turn holds up every ping.
    """
    with writer.statement() as connection:
        (wait_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            (is_read, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    return not is_read
