"""The file channel: one line of JSON for each message, appended.

Owns the lines. Must not know who rotates or reads the file. Promises: at least once; a line that was reported is on
disk. Costs: one write and one sync for all messages that come together, or while the write before is under way.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from connectors.writing import Writing
from engine.ports import Attempt, AttemptResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from connectors.clock import Clock
    from engine.ports import Delivery

#: Attempts at a time: they share a sync.
CONCURRENCY = 256


class FileChannel:
    """Appends to one file, made with its folder when missing; opened anew for each batch, so it may be moved away."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._waiting: list[tuple[bytes, asyncio.Future[Attempt]]] = []
        self._disk = Writing(clock)
        self._writing: asyncio.Task[None] | None = None

    async def attempt(self, delivery: Delivery, number: int) -> Attempt:
        """Append the delivery's body as a line; comes back when it is on disk."""
        done: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery.body, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return await done

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writing is not None:
            await self._writing
        self._disk.close()

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._disk.call(append, self._path, [line for line, _ in batch])
                attempt = Attempt(AttemptResult.OK, handed_ms=self._clock.exact_ms())
            except OSError as error:
                attempt = Attempt(AttemptResult.RETRY, f"`{self._path}`: {error.strerror or error}")
            for _, done in batch:
                if not done.done():
                    done.set_result(attempt)
        self._writing = None


def append(path: Path, lines: Sequence[bytes]) -> None:
    """Append lines and wait until they are on disk: all of them, or none. Raises `OSError`.

    The half of a line that a crash left behind is closed first, so that it spoils no other.
    """
    handle, made = _opened(path)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" * torn + b"".join(line + b"\n" for line in lines)
        try:
            _write_all(handle, data)
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if made:
        _sync_folder(path.parent)


def _opened(path: Path) -> tuple[int, bool]:
    """The file, and whether it was made, with its folder."""
    how = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, how), False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, how | os.O_CREAT, 0o640), True


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
