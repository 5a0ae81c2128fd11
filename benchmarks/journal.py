"""A durable commit of the store beside a bare append and fsync of as many bytes, on the same disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.rounds import Line, alternate
from connectors.store_sqlite import SqliteStore
from engine.ports import Commit

COMMITS = 200


def run(rounds: int, size: int) -> list[Line]:
    """Frames of `size` bytes, one a commit."""
    frame = os.urandom(size)
    with tempfile.TemporaryDirectory() as folder, SqliteStore.open(Path(folder) / "bench.db") as store:
        bare = os.open(Path(folder) / "bare", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

        def ours() -> None:
            seq = store.last_seq()
            for n in range(1, COMMITS + 1):
                store.commit(Commit(seq + n, n, frame))

        def theirs() -> None:
            for _ in range(COMMITS):
                os.write(bare, frame)
                os.fdatasync(bare)

        line = Line(f"commits of one frame of {size:,} bytes", "commits", COMMITS, "append and fdatasync")
        alternate(line, ours, theirs, rounds)
        os.close(bare)
    return [line]
