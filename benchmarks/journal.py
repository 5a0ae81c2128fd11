"""A durable commit of the store beside a bare append and fsync of as many bytes, on the same disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Side, Size
from connectors.store_sqlite import SqliteStore
from engine.ports import Commit

if TYPE_CHECKING:
    from contextlib import ExitStack

COMMITS = 200
FRAME_BYTES = 4_000
"""What some 200 pings take, compressed."""


def bench(size: Size, keep: ExitStack) -> Bench:
    """One frame a commit; what is compared is that all of it can be read again."""
    frame = os.urandom(FRAME_BYTES)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    store = keep.enter_context(SqliteStore.open(folder / "bench.db"))
    bare = os.open(folder / "bare", os.O_CREAT | os.O_RDWR | os.O_APPEND)
    keep.callback(os.close, bare)

    def ours() -> None:
        seq = store.last_seq()
        for n in range(1, COMMITS + 1):
            store.commit(Commit(seq + n, n, frame))

    def theirs() -> None:
        for _ in range(COMMITS):
            os.write(bare, frame)
            os.fdatasync(bare)

    def kept() -> list[bytes]:
        ours()
        return [stored.data for stored in store.frames(store.last_seq() - COMMITS)]

    def written() -> list[bytes]:
        theirs()
        end = os.fstat(bare).st_size
        return [os.pread(bare, FRAME_BYTES, end - n * FRAME_BYTES) for n in range(COMMITS, 0, -1)]

    return Bench(
        "journal", f"durable commits of {FRAME_BYTES:,} bytes", "commits",
        f"random bytes, {COMMITS} commits a round",
        Side("nearcast", COMMITS, ours, kept),
        (Side("limit: append, fdatasync", COMMITS, theirs, written, "one file, os.write and os.fdatasync"),),
        waits=True,
    )  # fmt: skip
