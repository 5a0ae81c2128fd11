"""Frames: the rows of many requests, gathered by shard and written as one record each.

Owns the gathering: all frames go when the first row of any waited for `linger_ms`, so that they share one request to
their broker, or one by itself when it is full; and that no more is held than may be. Must not know HTTP. Whoever brings
rows is told once all of them are acknowledged.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from connectors.intake import Unavailable
from connectors.kafka_writer import WriteError
from engine.pings import Pings, located, with_own_names
from engine.wire import encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connectors.kafka_writer import KafkaWriter, Written
    from engine.wire import Input

#: No frame has more devices: a shard sets them all in one call of its store.
DEVICES_MAX: Final = 1_000
#: What a row takes in a frame, names apart.
_ROW_BYTES: Final = 60
#: Whoever waits for the broker for so long is told to come again; what waits may still be written.
WITHIN_S: Final = 10.0


@dataclass(slots=True)
class _Open:
    """A frame that is being gathered: pings of each request, and when the first of them was received."""

    received_ms: float
    pings: list[Pings] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size: int = 0
    devices: set[str] = field(default_factory=set)


class FrameWriter:
    """Writes frames into one topic. Lives on one event loop. `told` gets each record's place and when it was sent."""

    def __init__(
        self,
        writer: KafkaWriter,
        topic: str,
        shard_of: Callable[[str], int],
        *,
        linger_ms: int,
        frame_bytes: int,
        now_ms: Callable[[], int],
        told: Callable[[Written, float], None],
    ) -> None:
        self._writer = writer
        self._topic = topic
        self._shard_of = shard_of
        self._linger_s = linger_ms / 1000
        self._frame_bytes = frame_bytes
        self._now_ms = now_ms
        self._told = told
        self._open: dict[int, _Open] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[Any]] = set()

    @property
    def ready(self) -> bool:
        """True while the broker acknowledges and there is room."""
        return not self._writer.is_away and self._writer.has_room(2 * self._frame_bytes)

    async def located(self, pings: Pings, received_ms: float) -> None:
        """Write the pings of one request; returns when all are acknowledged. Raises `Unavailable`."""
        size = _size(pings.devices)
        if self._writer.is_stalled or not self._writer.has_room(size + sum(o.size for o in self._open.values())):
            raise Unavailable(1)
        waiting = [self._add(shard, part, received_ms) for shard, part in self._split(pings)]
        await self._acknowledged(waiting)

    async def write(self, shard: int, inputs: Sequence[Input]) -> Written:
        """Write other inputs as a frame of their own, behind what was gathered for the shard. Raises `Unavailable`."""
        if self._writer.is_stalled:
            raise Unavailable(1)
        self._send(shard)
        now_ms = self._now_ms()
        frame = encode_frame(now_ms, inputs)
        if not self._writer.has_room(len(frame)):
            raise Unavailable(1)
        writing = asyncio.create_task(self._writer.write(self._topic, frame, partition=shard))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        try:
            written = await asyncio.wait_for(asyncio.shield(writing), WITHIN_S)
        except (WriteError, TimeoutError) as error:
            raise Unavailable(1) from error
        self._told(written, now_ms)
        return written

    async def flush(self) -> None:
        """Send what is gathered, and wait until it is acknowledged or given up."""
        self._send_all()
        if self._writing:
            await asyncio.wait(self._writing)

    def _split(self, pings: Pings) -> list[tuple[int, Pings]]:
        """The pings by shard, in their order; never more devices together than a frame may have."""
        rows = pings.rows
        devices = rows["device"].tolist()
        shard_of = {device: self._shard_of(pings.strings[device]) for device in set(devices)}
        if len(shard_of) <= DEVICES_MAX and len(set(shard_of.values())) == 1:
            return [(shard_of[devices[0]], pings)]
        places: dict[tuple[int, int], list[int]] = {}
        numbers: dict[int, dict[int, int]] = {}
        for i, device in enumerate(devices):
            shard = shard_of[device]
            known = numbers.setdefault(shard, {})
            places.setdefault((shard, known.setdefault(device, len(known)) // DEVICES_MAX), []).append(i)
        return [(shard, Pings(rows[at].tobytes(), pings.strings)) for (shard, _), at in places.items()]

    def _add(self, shard: int, pings: Pings, received_ms: float) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        devices = pings.devices
        held = self._open.get(shard)
        if held is not None and len(held.devices.union(devices)) > DEVICES_MAX:
            self._send(shard)
            held = None
        if held is None:
            held = self._open[shard] = _Open(received_ms)
            if self._timer is None:
                self._timer = loop.call_later(self._linger_s, self._send_all)
        done: asyncio.Future[None] = loop.create_future()
        done.add_done_callback(_look_at)
        held.pings.append(pings)
        held.waiting.append(done)
        held.devices.update(devices)
        held.size += _size(devices)
        if held.size >= self._frame_bytes:
            self._send(shard)
        return done

    def _send_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for shard in list(self._open):
            self._send(shard)

    def _send(self, shard: int) -> None:
        held = self._open.pop(shard, None)
        if held is not None:
            task = asyncio.create_task(self._write(shard, held))
            self._writing.add(task)
            task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited was told, and may be gone

    async def _write(self, shard: int, held: _Open) -> None:
        sent_ms = self._now_ms()
        frame = encode_frame(int(held.received_ms), [with_own_names(located(held.pings))])
        try:
            written = await self._writer.write(self._topic, frame, partition=shard)
        except WriteError as error:
            for done in held.waiting:
                if not done.done():
                    done.set_exception(error)
            return
        self._told(written, sent_ms)
        for done in held.waiting:
            if not done.done():
                done.set_result(None)

    async def _acknowledged(self, waiting: Sequence[asyncio.Future[None]]) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                for done in waiting:
                    await asyncio.shield(done)
        except (WriteError, TimeoutError) as error:
            raise Unavailable(1) from error


def _size(devices: Sequence[str]) -> int:
    """What rows of these devices take in a frame, about."""
    return _ROW_BYTES * len(devices) + sum(map(len, devices))


def _look_at(done: asyncio.Future[None]) -> None:
    """Whoever waited may be gone; the error was told where it arose."""
    if not done.cancelled():
        done.exception()
