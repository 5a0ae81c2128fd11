"""A running process: what goes on beside the live loop may not die unnoticed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from nearcast.wiring import Process


def test_a_task_beside_the_loop_that_fails_ends_the_process_and_one_that_is_done_does_not() -> None:
    async def fails() -> None:
        raise RuntimeError("upkeep")

    async def watched() -> None:
        nothing = cast("Any", None)
        beside = [asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0.05))]
        loop = asyncio.create_task(asyncio.Event().wait())
        process = Process(nothing, nothing, nothing, nothing, nothing, nothing, nothing, loop, beside)
        broken = asyncio.create_task(process.broken())
        await asyncio.wait(beside)
        assert not broken.done()
        broken.cancel()
        beside[0] = asyncio.create_task(fails())
        with pytest.raises(RuntimeError, match="upkeep"):
            await asyncio.wait_for(process.broken(), 5)
        loop.cancel()

    asyncio.run(watched())
