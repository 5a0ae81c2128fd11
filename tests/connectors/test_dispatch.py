"""The dispatcher with real channels and real servers, on the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web
from structlog.testing import capture_logs

from connectors.clock import MachineClock
from connectors.dispatch import Dispatcher, Verdict
from connectors.sink_webhook import WebhookChannel
from connectors.store_sqlite import SqliteStore
from engine.delivery import Outbox
from engine.ports import Attempt, AttemptResult, Channel, Delivery, DeliveryState, Ending, StoreError
from tests.connectors.endpoint import always, hang_up, listening
from tests.connectors.making import Tally, commit, delivery

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path


class Scripted:
    """A channel that answers each attempt by a function of the delivery and the number of the attempt."""

    def __init__(self, answer: Callable[[Delivery, int], Awaitable[Attempt]]) -> None:
        self._answer = answer
        self.tried: list[tuple[str, int]] = []
        self.closed = 0

    async def attempt(self, delivery: Delivery, number: int) -> Attempt:
        self.tried.append((delivery.key, number))
        return await self._answer(delivery, number)

    async def close(self) -> None:
        self.closed += 1


async def good(delivery: Delivery, number: int) -> Attempt:
    return Attempt(AttemptResult.OK, handed_ms=MachineClock().now_ms())


class World:
    """A dispatcher with all that it tells to others."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        *,
        chance: float = 0.0,
        concurrency: int = 64,
        recheck: Callable[[Delivery], Verdict] = lambda _: "ok",
        before_attempt: Callable[[Delivery, int], Awaitable[None]] | None = None,
        others: Channel | None = None,
    ) -> None:
        self.tally = Tally()
        self.ends: list[Ending] = []
        self.faults: list[BaseException] = []
        self.opened: list[tuple[str, int]] = []
        self.idle = asyncio.Event()
        self.outbox = Outbox(dict.fromkeys(channels, concurrency), chance=lambda: chance, others=others is not None)
        self.dispatcher = Dispatcher(
            self.outbox,
            channels,
            recheck=recheck,
            ended=self._ended,
            before_attempt=before_attempt or self._open,
            clock=MachineClock(),
            metrics=self.tally,
            broke=self.faults.append,
            others=others,
        )

    async def _open(self, delivery: Delivery, number: int) -> None:
        self.opened.append((delivery.key, number))

    def _ended(self, delivery: Delivery, ending: Ending) -> None:
        assert delivery.key == ending.key
        self.ends.append(ending)
        if not len(self.outbox):
            self.idle.set()

    async def until_all_ended(self) -> None:
        await asyncio.wait_for(self.idle.wait(), 30)
        await self.dispatcher.stop(1.0)
        assert self.faults == []

    def states(self) -> dict[str, DeliveryState]:
        return {ending.key: ending.state for ending in self.ends}


def live(key: str, user: str = "u-7", channel: str = "push", ttl_ms: int = 60_000, **changes: Any) -> Delivery:
    """A delivery made now."""
    now_ms = MachineClock().now_ms()
    return delivery(key, user, channel, created_ms=now_ms, expires_ms=now_ms + ttl_ms, **changes)


def dead_url() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def webhook(url: str, *, timeout_ms: int = 2_000, concurrency: int = 64) -> WebhookChannel:
    return WebhookChannel(url, secrets=(), timeout_ms=timeout_ms, concurrency=concurrency, clock=MachineClock())


def test_ten_thousand_messages_pass_a_dead_channel_and_a_hanging_one() -> None:
    """5,000 go to a good endpoint, 2,500 to a port where nobody listens, 2,500 to one that never answers."""

    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def run() -> None:
        async with listening(always(204)) as fine, listening(never) as hanging:
            world = World(
                {
                    "push": webhook(fine.url),
                    "dead": webhook(dead_url()),
                    "hangs": webhook(hanging.url, timeout_ms=60_000),
                },
                chance=0.5,
            )
            all_good = asyncio.Event()
            record = world.dispatcher._ended

            def ended(delivery: Delivery, ending: Ending) -> None:
                record(delivery, ending)
                if len(world.ends) == 5_000:
                    all_good.set()

            world.dispatcher._ended = ended
            began = MachineClock().monotonic_s()
            batch = [live(f"p-{n}", f"u-{n % 900}", received_ms=MachineClock().now_ms()) for n in range(5_000)]
            batch += [live(f"d-{n}", f"u-{n}", "dead") for n in range(2_500)]
            batch += [live(f"h-{n}", f"u-{n}", "hangs") for n in range(2_500)]
            world.dispatcher.add(*batch)
            await asyncio.wait_for(all_good.wait(), 40)
            spent_s = MachineClock().monotonic_s() - began
            world.dispatcher.cancel(*(d.key for d in batch if d.channel != "push"))
            await world.dispatcher.stop(0.0)
            assert world.faults == []
            assert Counter(fine.keys()) == Counter(f"p-{n}" for n in range(5_000))
            by_user = defaultdict(list)
            for headers, _ in fine.got:
                key = headers["webhook-id"]
                by_user[int(key[2:]) % 900].append(int(key[2:]))
            assert all(numbers == sorted(numbers) for numbers in by_user.values())
            assert world.tally.outcomes["push", DeliveryState.DELIVERED] == 5_000
            assert world.tally.waiting["push"] == 0
            assert len(world.tally.handoffs) == 5_000
            refused = sum(channel == "dead" for channel, _ in world.tally.attempts)
            assert 32 < refused < 32 + 64 + spent_s * 1000 / 5 + 64

    asyncio.run(run())


def test_an_endpoint_that_is_down_for_a_while_gets_everything_once_it_is_up() -> None:
    async def run() -> None:
        down = [True]

        async def answer(request: web.Request) -> web.Response:
            return await hang_up(request) if down[0] else web.Response(status=204)

        async with listening(answer) as endpoint:
            world = World({"push": webhook(endpoint.url)}, chance=0.01)
            world.dispatcher.add(*(live(f"k-{n}", f"u-{n}") for n in range(100)))
            while len(endpoint.got) < 150:
                await asyncio.sleep(0)
            down[0] = False
            await world.until_all_ended()
            assert set(world.states().values()) == {DeliveryState.DELIVERED}
            assert len(world.ends) == 100
            assert all(ending.attempts >= 2 for ending in world.ends)

    asyncio.run(run())


def test_a_message_whose_ttl_passes_expires() -> None:
    async def run() -> None:
        world = World({"push": webhook(dead_url())}, chance=0.02)
        first = live("k-1", ttl_ms=60)
        # Of the same instant: one made a millisecond later would have that millisecond for an attempt of its own.
        second = delivery("k-2", "u-7", "push", created_ms=first.created_ms, expires_ms=first.expires_ms)
        world.dispatcher.add(first, second)
        await world.until_all_ended()
        assert world.states() == {"k-1": DeliveryState.EXPIRED, "k-2": DeliveryState.EXPIRED}
        ends = {ending.key: ending for ending in world.ends}
        assert "Connect" in ends["k-1"].detail
        assert ends["k-2"].attempts == 0

    asyncio.run(run())


def test_410_turns_the_channel_off_and_a_reload_on_again() -> None:
    async def run() -> None:
        async with listening(always(410)) as endpoint:
            world = World({"push": webhook(endpoint.url)}, concurrency=1)
            world.dispatcher.add(*(live(f"k-{n}", f"u-{n}") for n in range(5)))
            while not world.tally.attempts:
                await asyncio.sleep(0)
            endpoint.answer = always(200)
            assert (len(endpoint.got), len(world.outbox)) == (1, 5)
            fresh = webhook(endpoint.url)
            await world.dispatcher.reload({"push": fresh}, {"push": 8})
            await world.until_all_ended()
            assert set(world.states().values()) == {DeliveryState.DELIVERED}
            assert Counter(endpoint.keys()) == {"k-0": 2, "k-1": 1, "k-2": 1, "k-3": 1, "k-4": 1}

    asyncio.run(run())


def test_quiet_hours_and_consent_are_asked_for_before_each_attempt() -> None:
    verdicts: dict[str, list[Verdict]] = {"a": ["ok", "quiet_hours"], "b": ["withdrawn"], "c": ["ok", "ok"]}

    async def twice(delivery: Delivery, number: int) -> Attempt:
        return Attempt(AttemptResult.RETRY if number == 1 else AttemptResult.OK)

    async def run() -> None:
        channel = Scripted(twice)
        world = World({"push": channel}, recheck=lambda d: verdicts[d.key].pop(0))
        world.dispatcher.add(*(live(key, key) for key in "abc"))
        await world.until_all_ended()
        assert world.states() == {
            "a": DeliveryState.EXPIRED,
            "b": DeliveryState.WITHDRAWN,
            "c": DeliveryState.DELIVERED,
        }
        assert sorted(channel.tried) == [("a", 1), ("c", 1), ("c", 2)]
        assert {e.key: e.attempts for e in world.ends} == {"a": 1, "b": 0, "c": 2}

    asyncio.run(run())


def test_a_channel_that_goes_off_is_told_once() -> None:
    async def run() -> None:
        async def gone(delivery: Delivery, number: int) -> Attempt:
            return Attempt(AttemptResult.GONE)

        world = World({"push": Scripted(gone)})
        with capture_logs() as told:
            world.dispatcher.add(*(live(key, key) for key in "abc"))
            for _ in range(20):
                await asyncio.sleep(0)
        [line] = told
        assert (line["channel"], "410" in line["event"]) == ("push", True)
        world.dispatcher.cancel("a", "b", "c")

    asyncio.run(run())


def test_while_paused_no_attempt_starts_and_what_flies_may_land() -> None:
    async def run() -> None:
        landing = asyncio.Event()

        async def slow(delivery: Delivery, number: int) -> Attempt:
            await landing.wait()
            return Attempt(AttemptResult.OK)

        channel = Scripted(slow)
        world = World({"push": channel})
        world.dispatcher.add(live("k-1", "u-1"))
        await asyncio.sleep(0)
        world.dispatcher.pause()
        assert world.dispatcher.paused
        world.dispatcher.add(live("k-2", "u-2"), live("k-3", "u-1"))
        landing.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert (channel.tried, world.states()) == ([("k-1", 1)], {"k-1": DeliveryState.DELIVERED})
        world.dispatcher.resume()
        await world.until_all_ended()
        assert [key for key, _ in channel.tried] == ["k-1", "k-2", "k-3"]

    asyncio.run(run())


def test_at_most_once_is_recorded_before_the_attempt_and_survives_as_unknown(tmp_path: Path) -> None:
    """The process dies in the middle of the attempt: its successor knows that it may have arrived."""
    path = tmp_path / "a.db"

    async def run() -> None:
        with SqliteStore.open(path) as store:
            item = live("k-1", at_most_once=True)
            store.commit(commit(1, deliveries=[item]))

            async def look_then_hang(delivery: Delivery, number: int) -> Attempt:
                (found,) = store.pending()
                assert (found.attempt_open, found.attempts) == (True, 1)
                hanging.set()
                await asyncio.Event().wait()
                return Attempt(AttemptResult.OK)

            async def record(delivery: Delivery, number: int) -> None:
                await asyncio.to_thread(store.open_attempts, [(delivery.key, number)])

            hanging = asyncio.Event()
            world = World({"push": Scripted(look_then_hang)}, before_attempt=record)
            world.dispatcher.add(item)
            await asyncio.wait_for(hanging.wait(), 30)
            await world.dispatcher.stop(0.0)
            assert world.ends == []
        with SqliteStore.open(path) as store:
            channel = Scripted(good)
            world = World({"push": channel})
            world.dispatcher.add(*store.pending())
            await world.until_all_ended()
            assert (channel.tried, world.states()) == ([], {"k-1": DeliveryState.UNKNOWN})

    asyncio.run(run())


def test_at_most_once_is_not_attempted_while_it_cannot_be_recorded() -> None:
    async def run() -> None:
        faults = [StoreError("store `x`: the disk is full")]

        async def record(delivery: Delivery, number: int) -> None:
            if faults:
                raise faults.pop()

        channel = Scripted(good)
        world = World({"push": channel}, before_attempt=record)
        world.dispatcher.add(live("k-1", at_most_once=True))
        await world.until_all_ended()
        assert channel.tried == [("k-1", 2)]
        assert world.tally.attempts == [("push", AttemptResult.OK)]
        assert world.states() == {"k-1": DeliveryState.DELIVERED}

    asyncio.run(run())


def test_what_the_journal_cancelled_is_not_tried_and_not_told_again() -> None:
    async def run() -> None:
        landing = asyncio.Event()

        async def slow(delivery: Delivery, number: int) -> Attempt:
            await landing.wait()
            return Attempt(AttemptResult.OK)

        channel = Scripted(slow)
        world = World({"push": channel})
        world.dispatcher.add(live("flies", "u-1"), live("waits", "u-1"), live("other", "u-2"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.dispatcher.cancel("flies", "waits", "nobody")
        world.dispatcher.add(live("at-once", "u-3"))
        world.dispatcher.cancel("at-once")
        landing.set()
        await world.until_all_ended()
        assert world.states() == {"other": DeliveryState.DELIVERED}
        assert sorted(key for key, _ in channel.tried) == ["flies", "other"]
        assert world.tally.outcomes == {
            ("push", DeliveryState.CANCELLED): 3,
            ("push", DeliveryState.DELIVERED): 1,
        }

    asyncio.run(run())


def test_a_channel_that_raises_harms_its_own_message_alone() -> None:
    async def broken(delivery: Delivery, number: int) -> Attempt:
        if delivery.key == "k-1" and number == 1:
            raise RuntimeError("a mistake of ours")
        return Attempt(AttemptResult.OK)

    async def run() -> None:
        world = World({"push": Scripted(broken)})
        world.dispatcher.add(live("k-1", "u-1"), live("k-2", "u-2"), live("k-3", "u-3", at_most_once=True))
        await asyncio.wait_for(world.idle.wait(), 30)
        await world.dispatcher.stop(1.0)
        assert [str(fault) for fault in world.faults] == ["a mistake of ours"]
        assert set(world.states().values()) == {DeliveryState.DELIVERED}

    asyncio.run(run())


def test_where_no_channel_is_configured_one_takes_all() -> None:
    async def run() -> None:
        console = Scripted(good)
        world = World({}, others=console)
        world.dispatcher.add(live("k-1"), live("k-2", channel="line"))
        await world.until_all_ended()
        assert sorted(console.tried) == [("k-1", 1), ("k-2", 1)]
        assert console.closed == 1

    asyncio.run(run())


def test_a_reload_closes_the_channels_that_are_gone_when_their_attempts_landed() -> None:
    async def run() -> None:
        landing = asyncio.Event()

        async def slow(delivery: Delivery, number: int) -> Attempt:
            await landing.wait()
            return Attempt(AttemptResult.OK)

        old, kept, new = Scripted(slow), Scripted(good), Scripted(good)
        world = World({"push": old, "audit": kept})
        world.dispatcher.add(live("k-1", "u-1"))
        await asyncio.sleep(0)
        await world.dispatcher.reload({"push": new, "audit": kept}, {"push": 2, "audit": 1})
        world.dispatcher.add(live("k-2", "u-2"))
        for _ in range(5):
            await asyncio.sleep(0)
        assert (new.tried, old.closed) == ([("k-2", 1)], 0)
        landing.set()
        while not old.closed:
            await asyncio.sleep(0)
        assert kept.closed == 0
        await world.dispatcher.stop(1.0)
        assert (old.closed, kept.closed, new.closed) == (1, 1, 1)

    asyncio.run(run())


def test_stop_lets_attempts_land_and_starts_none() -> None:
    async def run() -> None:
        landing = asyncio.Event()

        async def slow(delivery: Delivery, number: int) -> Attempt:
            await landing.wait()
            return Attempt(AttemptResult.OK)

        channel = Scripted(slow)
        world = World({"push": channel})
        world.dispatcher.add(live("k-1"), live("k-2"))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(world.dispatcher.stop(5.0))
        await asyncio.sleep(0)
        landing.set()
        await stopping
        assert (channel.tried, world.states()) == ([("k-1", 1)], {"k-1": DeliveryState.DELIVERED})
        assert "k-2" in world.outbox

    asyncio.run(run())


def test_the_time_to_the_handoff_counts_the_first_attempt_of_a_ping_alone() -> None:
    async def twice(delivery: Delivery, number: int) -> Attempt:
        return Attempt(AttemptResult.RETRY if number == 1 else AttemptResult.OK, handed_ms=1_007 * number)

    async def run() -> None:
        world = World({"push": Scripted(twice)})
        world.dispatcher.add(replace(live("k-1", "u-1"), received_ms=1_000), live("timer", "u-2"))
        await world.until_all_ended()
        assert world.tally.handoffs == [7]

    asyncio.run(run())
