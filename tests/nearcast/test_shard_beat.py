"""The beat at which shards fold: nobody waits after a pause, all go on together, nobody is held by who gave up."""

from __future__ import annotations

import asyncio

from nearcast.shard_beat import Beat

NOW_S = 100.0


def test_the_first_does_not_wait_and_those_after_go_on_together() -> None:
    async def main() -> None:
        beat, order = Beat(lambda: NOW_S), list[str]()
        await beat.wait()

        async def fold(name: str) -> None:
            await beat.wait()
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} asked")

        folds = [asyncio.create_task(fold(name)) for name in "abc"]
        for _ in range(3):
            await asyncio.sleep(0)
        assert not order, "a fold began right after the one before"
        await asyncio.gather(*folds)
        assert order == ["a begins", "b begins", "c begins", "a asked", "b asked", "c asked"]

    asyncio.run(main())


def test_after_a_pause_nobody_waits() -> None:
    async def main() -> None:
        now_s = NOW_S
        beat = Beat(lambda: now_s)
        await beat.wait()
        now_s += 1.0
        waiting = asyncio.create_task(beat.wait())
        for _ in range(5):  # turns of the loop, no time
            await asyncio.sleep(0)
        assert waiting.done()

    asyncio.run(main())


def test_who_gives_up_holds_nobody_up() -> None:
    async def main() -> None:
        beat = Beat(lambda: NOW_S)
        await beat.wait()
        gone, stays = asyncio.create_task(beat.wait()), asyncio.create_task(beat.wait())
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        assert gone.cancelled()

    asyncio.run(main())
