"""A durable commit of the store beside a bare append and fsync of as many bytes, on the same disk.

A round's figure is its median commit: a disk that others use stalls now and then, and whom it hits is chance.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Side, Size
from connectors.store_sqlite import SqliteStore
from engine.ports import Commit

if TYPE_CHECKING:
    from collections.abc import Callable
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

    def commit() -> None:
        seq = store.last_seq() + 1
        store.commit(Commit(seq, seq, frame))

    def append() -> None:
        os.write(bare, frame)
        os.fdatasync(bare)

    def kept() -> list[bytes]:
        _typical_s(commit)
        return [stored.data for stored in store.frames(store.last_seq() - COMMITS)]

    def written() -> list[bytes]:
        _typical_s(append)
        end = os.fstat(bare).st_size
        return [os.pread(bare, FRAME_BYTES, end - n * FRAME_BYTES) for n in range(COMMITS, 0, -1)]

    return Bench(
        "journal", f"durable commits of {FRAME_BYTES:,} bytes", "commits",
        f"random bytes, {COMMITS} commits a round",
        Side("nearcast", COMMITS, lambda: _typical_s(commit), kept),
        (
            Side(
                "limit: append, fdatasync", COMMITS, lambda: _typical_s(append), written,
                "one file, os.write and os.fdatasync",
            ),
        ),
    )  # fmt: skip


def _typical_s(work: Callable[[], None]) -> float:
    """Do it `COMMITS` times; the seconds that these take if each takes as long as the median one, by the wall."""
    spent = []
    for _ in range(COMMITS):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * COMMITS
