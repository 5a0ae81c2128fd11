"""What Faust waits for: a record that nothing holds up is handed on within one turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors.kafka_faust import AtOnce


async def _told(event: asyncio.Event, then: list[str]) -> str:
    await event.wait()
    then.append("told")
    return "told"


def test_what_needs_no_waiting_is_done_in_this_turn() -> None:
    async def run() -> None:
        async def ready() -> int:
            return 7

        turns: list[int] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(turns.append, 1)
        first, never = ready(), asyncio.Event().wait()
        found = await AtOnce().wait_first(first, never)
        assert (list(found.done), list(found.results), found.stopped) == ([first], [7], False)
        assert turns == []

    asyncio.run(run())


def test_what_must_wait_goes_on_where_it_was() -> None:
    async def run() -> None:
        event, then = asyncio.Event(), list[str]()
        asyncio.get_running_loop().call_later(0.01, event.set)
        found = await AtOnce().wait_first(_told(event, then), asyncio.Event().wait())
        assert (list(found.results), then) == (["told"], ["told"])

    asyncio.run(run())


def test_whoever_is_told_first_breaks_the_other_off() -> None:
    async def run() -> None:
        event, then, broken = asyncio.Event(), list[str](), list[bool]()

        async def first() -> None:
            try:
                await _told(event, then)
            except asyncio.CancelledError:
                broken.append(True)
                raise

        other = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, other.set)
        await AtOnce().wait_first(first(), other.wait())
        await asyncio.sleep(0)
        assert (then, broken) == ([], [True])

    asyncio.run(run())


@pytest.mark.parametrize("waits", [False, True])
def test_what_it_raises_comes_through(waits: bool) -> None:
    async def run() -> None:
        async def fails() -> Any:
            if waits:
                await asyncio.sleep(0)
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await AtOnce().wait_first(fails(), asyncio.Event().wait())

    asyncio.run(run())
