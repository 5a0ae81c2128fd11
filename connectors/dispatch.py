"""The dispatcher: drives the outbox with the real channels, on the event loop.

Owns the tasks of attempts, the timer for the next due instant, and what is told to the metrics. Must not know what the
order, the pauses or the ends of deliveries are (`engine/delivery.py` does), nor how an end is recorded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from engine.delivery import Over
from engine.delivery_table import Seen
from engine.ports import Attempt, AttemptResult, DeliveryState, Ending, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

    from connectors.clock import Clock
    from engine.delivery import Outbox, Start
    from engine.ports import Channel, Delivery

log = structlog.get_logger("nearcast.dispatch")

Verdict = Literal["ok", "quiet_hours", "withdrawn", "cancelled"]

#: The timer looks again at least so often, since the wall clock may be set.
_LONGEST_WAIT_S = 60.0
#: What was cancelled while its attempt was due ends as that, whatever holds it back.
_HELD_BACK: dict[Verdict, Seen] = {
    "quiet_hours": Seen.QUIET,
    "withdrawn": Seen.WITHDRAWN,
    "cancelled": Seen.WITHDRAWN,
}


class DeliveryMetrics(Protocol):
    """What is counted of deliveries."""

    def attempt(self, channel: str, result: AttemptResult) -> None:
        """One attempt was made."""

    def handoff(self, received_ms: float, handed_ms: float) -> None:
        """A message's first request was written at `handed_ms`; the ping that caused it came at `received_ms`."""

    def ended(self, channel: str, outcome: DeliveryState, created_ms: int, ended_ms: int) -> None:
        """A delivery came to its end."""

    def pending(self, channel: str, n: int) -> None:
        """So many deliveries of the channel have not ended."""


class Dispatcher:
    """Makes the attempts that the outbox asks for. Lives on one event loop; no method may be called from elsewhere.

    `recheck` is asked before each attempt. `ended` gets each end, to be journaled; it must not block. `before_attempt`
    is awaited before each attempt of an `at_most_once` delivery and returns when that is durable. If either of the two
    raises `StoreError`, the attempt is not made and comes again after a pause. `broke` is told what a channel or a
    callback raised: a mistake of ours, whose attempt counts as of unknown outcome. `others` serves all names that
    `channels` lacks.
    """

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        *,
        recheck: Callable[[Delivery], Verdict | Awaitable[Verdict]],
        ended: Callable[[Delivery, Ending], None],
        before_attempt: Callable[[Delivery, int], Awaitable[None]],
        clock: Clock,
        metrics: DeliveryMetrics,
        broke: Callable[[BaseException], None],
        others: Channel | None = None,
    ) -> None:
        self._outbox = outbox
        self._channels = dict(channels)
        self._others = others
        self._recheck = recheck
        self._ended = ended
        self._before_attempt = before_attempt
        self._clock = clock
        self._metrics = metrics
        self._broke = broke
        self._tasks: dict[asyncio.Task[None], Start] = {}
        self._recorded: set[str] = set()  # ended in the journal while an attempt was under way
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pumps_soon = False
        self._changed: set[str] = set()  # channels of which it is to be told how many wait
        self._pauses = 0
        self._stopping = False

    @property
    def paused(self) -> bool:
        """Whether no new attempt may start."""
        return self._pauses > 0

    def holds(self, key: str) -> bool:
        """Whether a delivery has not ended here, such as one whose attempt is under way."""
        return key in self._outbox

    def tried(self, key: str) -> tuple[int, str] | None:
        """How many attempts were made of a delivery that has not ended here, and what the last came to."""
        return self._outbox.tried(key)

    def add(self, *deliveries: Delivery) -> None:
        """Take in deliveries that were committed, and start what may start."""
        now_ms = self._clock.now_ms()
        for delivery in deliveries:
            over = self._outbox.add(delivery, now_ms)
            self._changed.add(delivery.channel)
            if over is not None:
                self._finish(over)
        self._pump()

    def pause(self) -> None:
        """No new attempt starts, nothing ends by time, until it is resumed as often. Attempts that fly may land."""
        self._pauses += 1
        self._disarm()

    def resume(self) -> None:
        """What it was paused for is over."""
        self._pauses -= 1
        self._pump()

    def cancel(self, *keys: str, why: str = "") -> None:
        """Give up deliveries that have ended in the journal as `cancelled`: nothing is told to `ended`.

        An attempt that is under way may still land; what it came to changes nothing.
        """
        now_ms = self._clock.now_ms()
        for over in self._outbox.cancel(keys, now_ms, why):
            self._count(over)
        self._recorded.update(key for key in keys if key in self._outbox)
        self._pump()

    def give_up(self, *keys: str, why: str = "") -> None:
        """Cancel deliveries; each is told to `ended`, an attempt that is under way when it has landed."""
        for over in self._outbox.cancel(keys, self._clock.now_ms(), why):
            self._finish(over)
        self._pump()

    def release(self, *keys: str) -> None:
        """Let deliveries go to another process: nothing is told, but of attempts under way what they come to."""
        self._outbox.cancel(keys, self._clock.now_ms(), "another process goes on with it")
        self._changed.update(self._outbox.counts())
        self._pump()

    async def reload(
        self, channels: Mapping[str, Channel], concurrency: Mapping[str, int], *, others: Channel | None = None
    ) -> None:
        """Put new channels in force at once, turned on; those that are gone are closed once their attempts landed."""
        gone = self._distinct()
        for channel in (*channels.values(), others):
            gone.pop(id(channel), None)
        self._channels = dict(channels)
        self._others = others
        self._outbox.reload(concurrency, others=others is not None)
        closing = asyncio.create_task(_close_after(list(self._tasks), list(gone.values())))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._pump()

    async def stop(self, grace_s: float) -> None:
        """Start nothing more, let attempts land for `grace_s` seconds, break off the others, close the channels.

        What was broken off has not ended: it is tried again by the next process, or is `unknown` if at most once.
        """
        self._stopping = True
        self._disarm()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)
        await asyncio.gather(*list(self._closing))
        for channel in self._distinct().values():
            await channel.close()

    def _distinct(self) -> dict[int, Channel]:
        """The channels, each once, also when it serves several names."""
        return {id(c): c for c in (*self._channels.values(), self._others) if c is not None}

    def _pump(self) -> None:
        """Start what is due, set the timer for what is due next, and tell of channels that changed."""
        self._pumps_soon = False
        self._disarm()
        if not self._pauses and not self._stopping:
            self._start_due()
        self._tell()

    def _start_due(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._outbox.due(self._clock.now_ms())
        for start in due.starts:
            task = loop.create_task(self._attempt(start))
            self._tasks[task] = start
            task.add_done_callback(self._landed)
        for over in due.overs:
            self._finish(over)
        self._disarm()  # what `ended` did may have pumped
        next_ms = self._outbox.next_due_ms()
        if next_ms is not None:
            wait_s = max(0.001, (next_ms - self._clock.now_ms()) / 1000)
            self._timer = loop.call_later(min(wait_s, _LONGEST_WAIT_S), self._pump)

    async def _attempt(self, start: Start) -> None:
        """One attempt, from the last questions to its result."""
        delivery = start.delivery
        verdict: Verdict = "ok"
        attempt: Attempt | None = None
        try:
            if delivery.at_most_once:
                await self._before_attempt(delivery, start.number)
            verdict = await self._verdict(delivery)
        except StoreError as error:
            attempt = Attempt(AttemptResult.RETRY, f"not made: {error}")
        if verdict == "cancelled":
            self._outbox.cancel(
                (delivery.key,), self._clock.now_ms(), "its rule no longer runs, or its user was erased"
            )
        if verdict != "ok":
            over = self._outbox.hold_back(delivery.key, _HELD_BACK[verdict], self._clock.now_ms())
        else:
            attempt = attempt or await self._try(start)
            if attempt.result is AttemptResult.GONE and self._outbox.is_on(delivery.channel):
                log.error("a channel answered 410 and is off until the next reload", channel=delivery.channel)
            over = self._outbox.result(delivery.key, attempt, self._clock.now_ms())
        if over is not None:
            self._finish(over)

    async def _verdict(self, delivery: Delivery) -> Verdict:
        """Whether the attempt may be made, as of now."""
        if self._outbox.is_cancelled(delivery.key):
            return "withdrawn"
        verdict = self._recheck(delivery)
        if isinstance(verdict, str):
            return verdict
        found = await verdict
        return "withdrawn" if self._outbox.is_cancelled(delivery.key) else found

    async def _try(self, start: Start) -> Attempt:
        delivery = start.delivery
        channel = self._channels.get(delivery.channel, self._others)
        if channel is None:  # a reload took it away between `due` and now
            return Attempt(AttemptResult.RETRY, "the channel was removed")
        attempt = await channel.attempt(delivery, start.number)
        self._metrics.attempt(delivery.channel, attempt.result)
        if start.number == 1 and delivery.received_ms is not None and attempt.handed_ms is not None:
            self._metrics.handoff(delivery.received_ms, attempt.handed_ms)
        return attempt

    def _landed(self, task: asyncio.Task[None]) -> None:
        """After each attempt's task. One that raised must not leave its delivery flying for ever."""
        start = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            lost = Attempt(AttemptResult.UNKNOWN, f"we failed: {type(error).__name__}")
            if start.delivery.key in self._outbox:
                over = self._outbox.result(start.delivery.key, lost, self._clock.now_ms())
                if over is not None:
                    self._finish(over)
            self._broke(error)
        if not self._pumps_soon:  # many land in one turn of the loop
            self._pumps_soon = True
            task.get_loop().call_soon(self._pump)

    def _finish(self, over: Over) -> None:
        key = over.ending.key
        if key in self._recorded:
            self._recorded.remove(key)
            cancelled = Ending(key, DeliveryState.CANCELLED, over.ending.at_ms, over.ending.attempts)
            self._count(Over(over.delivery, cancelled))
        else:
            self._count(over)
            self._ended(over.delivery, over.ending)

    def _count(self, over: Over) -> None:
        delivery, ending = over.delivery, over.ending
        self._metrics.ended(delivery.channel, ending.state, delivery.created_ms, ending.at_ms)
        self._changed.add(delivery.channel)

    def _tell(self) -> None:
        if self._changed:
            counts = self._outbox.counts()
            for name in self._changed:
                self._metrics.pending(name, counts.get(name, 0))
            self._changed.clear()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _close_after(attempts: Collection[asyncio.Task[None]], channels: Iterable[Channel]) -> None:
    """Close channels when these attempts, some of which may be theirs, have landed."""
    if attempts:
        await asyncio.wait(attempts)
    for channel in channels:
        await channel.close()
