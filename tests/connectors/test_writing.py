"""Where a file is written: on the loop while the disk is quick, in a thread when it is slow."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from connectors.writing import SLOW_S, Writing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Disk:
    """A disk, and the clock that its writes move on."""

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.passed_s = 0.0
        self.threads: list[str] = []

    def monotonic_s(self) -> float:
        return self.passed_s

    def now_ms(self) -> int:
        return int(self.passed_s * 1000)

    def exact_ms(self) -> float:
        return self.passed_s * 1000

    def write(self, *_: object) -> None:
        self.passed_s += self.takes_s
        self.threads.append(threading.current_thread().name)


def with_disk(work: Callable[[Disk, Writing], Awaitable[None]]) -> None:
    async def run() -> None:
        disk = Disk()
        writing = Writing(disk)
        await work(disk, writing)
        writing.close()

    asyncio.run(run())


def test_a_quick_disk_is_written_on_the_loop_and_a_slow_one_beside_it() -> None:
    async def run(disk: Disk, writing: Writing) -> None:
        here = threading.current_thread().name
        for takes_s, beside in ((SLOW_S / 10, False), (SLOW_S * 3, True), (SLOW_S / 10, False)):
            disk.takes_s = takes_s
            for _ in range(200):
                await writing.call(disk.write)
            assert writing.beside is beside
            assert (disk.threads[-1] != here) is beside

    with_disk(run)


def test_one_slow_write_changes_nothing() -> None:
    async def run(disk: Disk, writing: Writing) -> None:
        disk.takes_s = SLOW_S / 10
        await writing.call(disk.write)
        disk.takes_s = SLOW_S * 10
        await writing.call(disk.write)
        assert not writing.beside

    with_disk(run)


@pytest.mark.parametrize("takes_s", [0.0, SLOW_S * 100])
def test_what_a_write_raises_is_raised_to_the_caller_wherever_it_was_made(takes_s: float) -> None:
    async def run(disk: Disk, writing: Writing) -> None:
        disk.takes_s = takes_s
        await writing.call(disk.write)
        assert writing.beside is (takes_s > 0)

        def fails(what: str) -> None:
            raise OSError(what)

        with pytest.raises(OSError, match="the disk is gone"):
            await writing.call(fails, "the disk is gone")

    with_disk(run)
