"""The outbox: which delivery is tried next, and how each of them ends. No I/O, no clock, no randomness of its own.

Owns the order of a user's messages on a channel, the pauses between attempts, and when a channel is turned off; the
stages stand in `engine/delivery_table.py`. Must not know how a message is handed over, nor where deliveries are kept.

Every call costs a few dictionary and heap operations, however many deliveries wait.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from engine.delivery_table import RESULTS, TABLE, Seen, Stage
from engine.ports import AttemptResult, DeliveryState, Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.ports import Attempt, Delivery

#: Pause after the first attempt that failed, at most; it doubles up to `PAUSE_MS_MAX`.
PAUSE_MS_MIN = 500
PAUSE_MS_MAX = 30_000
#: After so many failed attempts of a channel, none of them good, its attempts start no faster than `TROUBLE_GAP_MS`
#: apart, so that an endpoint that refuses a hundred thousand messages does not take the processor from the others.
TROUBLE_AFTER = 32
TROUBLE_GAP_MS = 5
#: Attempts at a time on a channel that nobody configured, where all names are channels.
OTHERS_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt to be made now; `number` counts from 1."""

    delivery: Delivery
    number: int


@dataclass(frozen=True, slots=True)
class Over:
    """A delivery that has ended, and how."""

    delivery: Delivery
    ending: Ending


@dataclass(slots=True)
class Due:
    """What is to be done now: attempts to start, and endings (expired ones) to record."""

    starts: list[Start] = field(default_factory=list)
    overs: list[Over] = field(default_factory=list)


class _Entry:
    """A delivery that has not ended. `behind` is the user's next one on that channel."""

    __slots__ = ("attempts", "behind", "delivery", "detail", "listed", "stage")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.stage: Stage | None = Stage.BEHIND  # None: it has ended
        self.attempts = delivery.attempts
        self.detail = ""
        self.behind: _Entry | None = None
        self.listed = True  # it stands among the expiring


class _Queue:
    """The deliveries of one user on one channel, in order. The head has not ended; others in between may have."""

    __slots__ = ("head", "tail")

    def __init__(self, entry: _Entry) -> None:
        self.head = entry
        self.tail = entry


class _Channel:
    """One channel: what may start on it, and what flies."""

    __slots__ = ("concurrency", "count", "flying", "on", "opens_ms", "ready", "troubles")

    def __init__(self) -> None:
        self.concurrency = 0
        self.on = False
        self.ready: deque[_Entry] = deque()
        self.flying = 0
        self.count = 0
        self.troubles = 0
        self.opens_ms = 0


def pause_ms(attempts: int, chance: float) -> int:
    """The pause after the n-th attempt: full jitter over 0.5 s doubling to 30 s. `chance` lies in [0, 1).

    >>> [pause_ms(n, 1.0) for n in (1, 2, 6, 7, 1000)]
    [500, 1000, 16000, 30000, 30000]
    """
    return int(min(PAUSE_MS_MAX, PAUSE_MS_MIN << min(attempts - 1, 16)) * chance)


class Outbox:
    """All deliveries that have not ended, and what to do with them next.

    `concurrency` maps each channel's name to how many attempts it makes at a time, at least 1. What is meant for a
    channel that is not there waits until its `ttl`, or until `reload` names it; with `others` (no channel is
    configured at all) every name is a channel. `chance` gives numbers in [0, 1).
    """

    def __init__(self, concurrency: Mapping[str, int], *, chance: Callable[[], float], others: bool = False) -> None:
        self._chance = chance
        self._others: int | None = None
        self._entries: dict[str, _Entry] = {}
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._channels: dict[str, _Channel] = {}
        self._expiring: list[tuple[int, int, _Entry]] = []
        self._resting: list[tuple[int, int, _Entry]] = []
        self._ticket = 0
        self._now_ms = 0
        self._passed_ms = 0
        self.reload(concurrency, others=others)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def tried(self, key: str) -> tuple[int, str] | None:
        """How many attempts were made of a delivery that has not ended, and what the last came to; None: it has."""
        entry = self._entries.get(key)
        return None if entry is None else (entry.attempts, entry.detail)

    def counts(self) -> dict[str, int]:
        """How many deliveries have not ended, by channel."""
        return {name: channel.count for name, channel in self._channels.items()}

    def flying(self) -> int:
        """How many attempts are being made."""
        return sum(channel.flying for channel in self._channels.values())

    def is_on(self, channel: str) -> bool:
        """Whether the channel is there and was not turned off by a 410."""
        found = self._channels.get(channel)
        return found is not None and found.on

    def add(self, delivery: Delivery, now_ms: int) -> Over | None:
        """Take a delivery in, behind the earlier ones of its user and channel. One that is there stays as it is.

        An `at_most_once` one whose last attempt was begun and never recorded ends here, as `unknown`.
        """
        if delivery.key in self._entries:
            return None
        if delivery.at_most_once and delivery.attempt_open:
            detail = "the process ended before the attempt's outcome was recorded"
            ending = Ending(delivery.key, DeliveryState.UNKNOWN, now_ms, delivery.attempts, detail)
            return Over(delivery, ending)
        entry = self._entries[delivery.key] = _Entry(delivery)
        self._channel(delivery.channel).count += 1
        self._push(self._expiring, delivery.expires_ms, entry)
        place = (delivery.user, delivery.channel)
        queue = self._queues.get(place)
        if queue is None:
            self._queues[place] = _Queue(entry)
            self._see(entry, Seen.FRONT, now_ms)
        else:
            queue.tail.behind = entry
            queue.tail = entry
        return None

    def due(self, now_ms: int) -> Due:
        """What is to be done now. The attempts it gives count as begun: each needs `result` or `hold_back`."""
        self._advance(now_ms)
        due = Due()
        while self._resting and self._resting[0][0] <= self._passed_ms:
            entry = heappop(self._resting)[2]
            if entry.stage is Stage.RESTING:
                self._see(entry, Seen.RESTED, now_ms)
        while self._expiring and self._expiring[0][0] <= now_ms:
            entry = heappop(self._expiring)[2]
            entry.listed = False
            if entry.stage not in (None, Stage.FLYING, Stage.LAST):
                self._collect(due.overs, self._see(entry, Seen.EXPIRED, now_ms))
        for channel in self._channels.values():
            self._start(channel, now_ms, due)
        return due

    def result(self, key: str, attempt: Attempt, now_ms: int) -> Over | None:
        """What an attempt came to. Gives the end, if it is one. Raises `KeyError` when nothing of that key flies."""
        self._advance(now_ms)
        entry = self._entries[key]
        channel = self._channel(entry.delivery.channel)
        channel.flying -= 1
        entry.attempts += 1
        entry.detail = attempt.detail
        seen = RESULTS[attempt.result]
        if attempt.result is AttemptResult.UNKNOWN and entry.delivery.at_most_once:
            seen = Seen.LOST
        if seen is Seen.OK:
            channel.troubles = 0
        elif seen in (Seen.RETRY, Seen.LOST):
            channel.troubles += 1
        elif seen is Seen.GONE:
            channel.on = False
        over = self._see(entry, seen, now_ms)
        if over is not None:
            return over
        if now_ms >= entry.delivery.expires_ms:
            return self._see(entry, Seen.EXPIRED, now_ms)
        if not entry.listed:  # the clock was set back while it flew
            entry.listed = True
            self._push(self._expiring, entry.delivery.expires_ms, entry)
        if entry.stage is Stage.RESTING:
            pause = max(pause_ms(entry.attempts, self._chance()), attempt.retry_after_ms or 0)
            self._push(self._resting, self._passed_ms + pause, entry)
        return None

    def hold_back(self, key: str, why: Seen, now_ms: int) -> Over | None:
        """End a delivery whose attempt was due and is not made: `Seen.QUIET` or `Seen.WITHDRAWN`.

        One that was cancelled meanwhile ends as `cancelled`, whichever it is.
        """
        entry = self._entries[key]
        self._channel(entry.delivery.channel).flying -= 1
        if entry.stage is Stage.FLYING:
            entry.detail = "quiet hours" if why is Seen.QUIET else "consent withdrawn"
        return self._see(entry, why, now_ms)

    def is_cancelled(self, key: str) -> bool:
        """Whether a delivery whose attempt is due or under way was cancelled meanwhile."""
        return self._entries[key].stage is Stage.LAST

    def cancel(self, keys: Iterable[str], now_ms: int, why: str = "") -> list[Over]:
        """Cancel these. One that flies ends with its attempt: `delivered` if that was good, else `cancelled`."""
        overs: list[Over] = []
        for key in keys:
            entry = self._entries.get(key)
            if entry is not None:
                entry.detail = why
                self._collect(overs, self._see(entry, Seen.CANCELLED, now_ms))
        return overs

    def reload(self, concurrency: Mapping[str, int], *, others: bool = False) -> None:
        """New settings: channels that are named are on, the others wait. What waits and what flies is kept."""
        self._others = OTHERS_CONCURRENCY if others else None
        for name in concurrency:
            self._channels.setdefault(name, _Channel())
        for name, channel in self._channels.items():
            self._configure(channel, concurrency.get(name, self._others))

    def next_due_ms(self) -> int | None:
        """The instant at which `due` has something to say if nothing else happens before, or None: never."""
        dues: list[int] = []
        while self._resting and self._resting[0][2].stage is not Stage.RESTING:
            heappop(self._resting)
        while self._expiring and self._expiring[0][2].stage is None:
            heappop(self._expiring)
        if self._resting:
            dues.append(self._now_ms + self._resting[0][0] - self._passed_ms)
        if self._expiring:
            dues.append(self._expiring[0][0])
        for channel in self._channels.values():
            if channel.ready and channel.on and channel.flying < channel.concurrency:
                dues.append(self._now_ms + max(0, channel.opens_ms - self._passed_ms))
        return min(dues, default=None)

    def _start(self, channel: _Channel, now_ms: int, due: Due) -> None:
        while channel.on and channel.ready and channel.flying < channel.concurrency:
            entry = channel.ready[0]
            if entry.stage is not Stage.READY:
                channel.ready.popleft()
                continue
            if channel.troubles >= TROUBLE_AFTER:
                if channel.opens_ms > self._passed_ms:
                    return
                channel.opens_ms = self._passed_ms + TROUBLE_GAP_MS
            channel.ready.popleft()
            self._see(entry, Seen.BEGUN, now_ms)
            channel.flying += 1
            due.starts.append(Start(entry.delivery, entry.attempts + 1))

    def _see(self, entry: _Entry, seen: Seen, now_ms: int) -> Over | None:
        """One step through the table, with what follows from it."""
        assert entry.stage is not None, f"delivery `{entry.delivery.key}` had ended and saw {seen}"
        then = TABLE[entry.stage, seen]
        if isinstance(then, Stage):
            entry.stage = then
            if then is Stage.READY:
                self._channel(entry.delivery.channel).ready.append(entry)
            return None
        return self._end(entry, then, now_ms)

    def _end(self, entry: _Entry, state: DeliveryState, now_ms: int) -> Over:
        delivery = entry.delivery
        entry.stage = None
        del self._entries[delivery.key]
        channel = self._channel(delivery.channel)
        channel.count -= 1
        if len(channel.ready) > 2 * channel.count + 64:
            channel.ready = deque(other for other in channel.ready if other.stage is Stage.READY)
        place = (delivery.user, delivery.channel)
        queue = self._queues[place]
        if queue.head is entry:
            following = entry.behind
            while following is not None and following.stage is None:
                following = following.behind
            if following is None:
                del self._queues[place]
            else:
                queue.head = following
                self._see(following, Seen.FRONT, now_ms)
        return Over(delivery, Ending(delivery.key, state, now_ms, entry.attempts, entry.detail))

    def _channel(self, name: str) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = _Channel()
            self._configure(channel, self._others)
        return channel

    @staticmethod
    def _configure(channel: _Channel, concurrency: int | None) -> None:
        channel.on = concurrency is not None
        channel.concurrency = concurrency or 0
        channel.troubles = 0
        channel.opens_ms = 0

    def _push(self, heap: list[tuple[int, int, _Entry]], at_ms: int, entry: _Entry) -> None:
        """Put an entry on a heap; when most of that heap has ended, it is made anew, so that it stays small."""
        self._ticket += 1
        heappush(heap, (at_ms, self._ticket, entry))
        if len(heap) > 2 * len(self._entries) + 64:
            heap[:] = [item for item in heap if item[2].stage is not None]
            heapify(heap)

    def _advance(self, now_ms: int) -> None:
        """Let the pauses run on. A wall clock that is set back stops them for that moment alone, not for an hour."""
        if self._now_ms:
            self._passed_ms += max(0, now_ms - self._now_ms)
        self._now_ms = now_ms

    @staticmethod
    def _collect(overs: list[Over], over: Over | None) -> None:
        if over is not None:
            overs.append(over)
