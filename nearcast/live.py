"""The live loop: gathers what came in, folds it, makes it durable, and only then answers and sends.

Owns the order of these, natural batching, and what happens when the store cannot commit. While one commit runs, what
arrives gathers; the next step takes it all. Must not know HTTP or SQL. One event loop runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from connectors.intake import Busy, LocatedAnswer, Unavailable
from connectors.writing import Writing
from engine.outward import decision_line, message_line, ttl_most_ms
from engine.ports import (
    Checkpoint,
    Commit,
    DecisionQuery,
    DeliveryState,
    Ending,
    StoreBrokenError,
    StoreDamagedError,
    StoreError,
)
from engine.snapshot import Copied, copied, packed
from engine.wire import Edited, Ended, Erased, Input, Resent, encode_frame
from nearcast.recover import recover
from nearcast.waiting import Waiting, as_kept, inputs_of, is_event, refuse, resolve, size_of
from rules.facts import Outcome
from rules.ids import action_key

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from connectors.clock import Clock
    from connectors.dispatch import Dispatcher
    from connectors.metrics import Metrics
    from connectors.store_sqlite import SqliteStore
    from engine.pings import Pings
    from engine.ports import Delivery
    from engine.site import Site
    from engine.step import Effects, Engine

log = structlog.get_logger("nearcast.live")

#: Rows that may wait for their step; beyond this new requests are asked to come again.
WAITING_ROWS_MAX = 200_000
#: A checkpoint is taken after so many rows of tail, or at the first step after so long with any tail.
CHECKPOINT_ROWS = 500_000
CHECKPOINT_MS = 15 * 60_000
#: So many turns of the loop without another request end the wait for more, and so many all in all.
_TURNS: Final = 2
_TURNS_MAX: Final = 6
#: How long between two tries of a store that could not commit.
RETRY_S = 0.5
#: A disk that was full is one again until it has room for the largest step and its log: a small one may fit before.
ROOM_BYTES = 8 << 20


@dataclass(slots=True)
class Live:
    """The engine of a running process, and all that goes in and out of it."""

    engine: Engine
    store: SqliteStore
    metrics: Metrics
    clock: Clock
    seq: int
    #: The newest frame that is in a checkpoint, and how many rows came after it.
    checkpoint_seq: int = 0
    tail_rows: int = 0
    dispatcher: Dispatcher = field(init=False)
    ready: bool = False
    is_damaged: bool = False
    _queue: deque[Waiting] = field(default_factory=deque)
    _rows: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _asleep: asyncio.Future[None] | None = None
    _alarm: asyncio.TimerHandle | None = None
    _alarm_ms: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: Writing = field(init=False)
    _checkpoint_ms: int = 0
    _checkpointing: asyncio.Task[None] | None = None
    _now_ms: int = 0
    #: Ended deliveries that were asked to be sent again, until that is committed.
    _resending: dict[str, Delivery] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._writing = Writing(self.clock)

    # -- what comes in ---------------------------------------------------------------------------------------------

    async def located(self, pings: Pings, *, received_ms: float, wait: bool) -> LocatedAnswer:
        """Take accepted pings and sightings of one request; answers once they are durable."""
        if not pings:
            return LocatedAnswer(0, 0, [] if wait else None, [] if wait else None)
        answer: LocatedAnswer = await self._enqueue(Waiting(pings, wait=wait, received_ms=received_ms))
        return answer

    async def submit(self, inputs: Sequence[Input]) -> list[bool]:
        """Take other inputs; answers once they are durable. One flag for each event: False, it was there before."""
        fresh: list[bool] = await self._enqueue(Waiting(inputs=inputs))
        return fresh

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs it, remembered: to ask which one runs asks the system for the process each time."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    async def _enqueue(self, waiting: Waiting) -> Any:
        if not self.ready or self._stop.is_set():
            raise Unavailable(1)
        size = size_of(waiting)
        if self._rows + size > WAITING_ROWS_MAX:
            raise Busy(1)
        self._rows += size
        waiting.done = self._own_loop().create_future()
        self._queue.append(waiting)
        self._wake()
        return await waiting.done

    def ended(self, delivery: Delivery, ending: Ending) -> None:
        """The dispatcher is done with a delivery: the outcome goes into the next step, and is recorded with it."""
        item = Ended(ending.key, delivery.decision, delivery.user, ending.state.value, ending.detail, ending.attempts)
        self._queue.append(Waiting(inputs=(item,)))
        self._wake()

    async def written(self, write: Callable[..., None], *args: object) -> None:
        """Have something written to the store, after the commit that may be under way. Raises `StoreError`."""
        await self._writing.call(write, *args)

    # -- the loop --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop`; what is waiting then is worked first. Raises `StoreBrokenError`."""
        self._checkpoint_ms = self._now()
        while not self._stop.is_set() or (self._queue and self.ready):
            await self._until_due()
            await self._until_all_came()
            taken, self._queue, self._rows = list(self._queue), deque(), 0
            now_ms = self._now()
            if taken or self._due(now_ms):
                await self._work(taken, now_ms)
                self._maybe_checkpoint(now_ms)

    def stop(self) -> None:
        """Take nothing more; `run` ends when what is waiting has been worked."""
        self._stop.set()
        self._wake()

    async def close(self) -> None:
        """After `run`: a last checkpoint, so that the next start folds nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._checkpointing is not None:
            await self._checkpointing
        if self.ready and self.seq > self.checkpoint_seq:
            await self._checkpoint(self._now())
        self._writing.close()

    def _now(self) -> int:
        """The machine's clock, but never backwards: the journal's instants only grow."""
        self._now_ms = max(self._now_ms, self.engine.now_ms, self.clock.now_ms())
        return self._now_ms

    def _due(self, now_ms: int) -> bool:
        due_ms = self.engine.next_due_ms()
        return due_ms is not None and due_ms <= now_ms

    async def _until_due(self) -> None:
        """Wait for something to come in, or for a timer."""
        if self._queue or self._stop.is_set():
            return
        due_ms = self.engine.next_due_ms()
        if due_ms is not None:
            self._set_alarm(due_ms)
        self._asleep = self._own_loop().create_future()
        await self._asleep

    def _set_alarm(self, due_ms: int) -> None:
        """Be woken then at the latest. One that rings sooner stays: to wake for nothing is rare, steps are many."""
        if self._alarm is not None:
            if self._alarm_ms <= due_ms:
                return
            self._alarm.cancel()
        wait_s = min(max(due_ms - self._now(), 0) / 1000 + 0.001, 3600.0)
        self._alarm, self._alarm_ms = self._own_loop().call_later(wait_s, self._ring), due_ms

    def _ring(self) -> None:
        self._alarm = None
        self._wake()

    async def _until_all_came(self) -> None:
        """Let in what is on its way: a step and its commit cost about the same for one request as for ten.

        A request that has arrived needs two turns of the loop to be read and to stand in the queue.
        """
        waits, idle = len(self._queue), 0
        for _ in range(_TURNS_MAX):
            await asyncio.sleep(0)
            idle = idle + 1 if len(self._queue) == waits else 0
            waits = len(self._queue)
            if idle == _TURNS:
                return

    def _wake(self) -> None:
        if self._asleep is not None and not self._asleep.done():
            self._asleep.set_result(None)

    async def _work(self, taken: list[Waiting], now_ms: int) -> None:
        """One step: fold, commit, answer, send."""
        inputs = inputs_of(taken)
        with self.metrics.step_timer():
            effects = self.engine.step(inputs, now_ms)
        frame = encode_frame(now_ms, as_kept(inputs))
        commit = Commit(
            self.seq + 1,
            now_ms,
            frame,
            effects.decisions,
            effects.deliveries,
            effects.endings,
            effects.resent,
            tuple(effects.erased),
            _edited(effects),
            effects.erased,
        )
        try:
            with self.metrics.commit_timer():
                await self.written(self.store.commit, commit)
        except StoreError as error:
            await self._failed(taken, error)
            return
        self.seq += 1
        self.tail_rows += sum(map(size_of, taken))
        self._send(effects, [w.received_ms for w in taken if w.pings is not None])
        await self._answer(taken, effects)
        self._measure(effects)

    def _send(self, effects: Effects, received_ms: Sequence[float] = ()) -> None:
        """What was committed may leave; what an edit or an erasure stopped may not.

        `received_ms` is when each located request came: a message's way is measured from there.
        """
        stopped = {e.key for e in effects.endings if e.state is DeliveryState.CANCELLED}
        if stopped:
            self.dispatcher.cancel(*stopped)
        for key, expires_ms in effects.resent:
            delivery = self._resending.get(key)
            if delivery is not None and key not in stopped and delivery.user not in effects.erased:
                del self._resending[key]
                self.dispatcher.add(_once_more(delivery, expires_ms))
        if effects.deliveries:
            request = dict(zip((d.key for d in effects.decisions), effects.requests, strict=True))
            self.dispatcher.add(
                *(_since(d, request[d.decision], received_ms) for d in effects.deliveries if d.key not in stopped)
            )

    async def _answer(self, taken: list[Waiting], effects: Effects) -> None:
        accepted = [n for c in effects.counted for n in c.accepted.tolist()]
        duplicate = [n for c in effects.counted for n in c.duplicate.tolist()]
        late = [n for c in effects.counted for n in c.late.tolist()]
        request, event = 0, 0
        for waiting in taken:
            if waiting.pings is None:
                events = sum(is_event(item) for item in waiting.inputs)
                resolve(waiting, effects.fresh[event : event + events])
                event += events
                continue
            answer = LocatedAnswer(accepted[request], duplicate[request], None, None)
            if waiting.wait:
                repeated = bool(duplicate[request] or late[request])
                answer = await self._with_decisions(answer, waiting.pings, effects, request, repeated=repeated)
            resolve(waiting, answer)
            request += 1

    async def _with_decisions(
        self, answer: LocatedAnswer, pings: Pings, effects: Effects, request: int, *, repeated: bool
    ) -> LocatedAnswer:
        """Add what was decided for these pings now; where some may be `repeated`, what was decided for their time.

        One that a newer ping of its device has overtaken is late, not a duplicate.
        """
        made = [d for d, r in zip(effects.decisions, effects.requests, strict=True) if r == request]
        decisions = [decision_line(d) for d in made]
        messages = [message_line(action_key(d.key, m.index), m) for d in made for m in d.messages]
        if repeated:
            known = {d.key for d in made}
            for device, time_ms in sorted({*zip(pings.devices, pings.times, strict=True)}):
                lines, sent = await asyncio.to_thread(self._decided_for, device, time_ms)
                decisions += [line for line in lines if line["key"] not in known]
                messages += [m for key, m in sent if key not in known]
        return LocatedAnswer(answer.accepted, answer.duplicate, decisions, messages)

    def _decided_for(self, device: str, time_ms: int) -> tuple[list[dict[str, Any]], list[tuple[str, dict[str, Any]]]]:
        lines = self.store.decisions(DecisionQuery(device=device, occasion_ms=time_ms))
        keys = [line["key"] for line in lines if line["outcome"] == Outcome.SEND]
        return lines, [(key, m) for key in keys for m in self.store.messages(key)]

    # -- when the store cannot commit ------------------------------------------------------------------------------

    async def _failed(self, taken: list[Waiting], error: StoreError) -> None:
        """Nothing was promised: tell those who wait, take the state back from the store, try until it commits.

        Who is told to stop meanwhile tries no longer: what was answered is in the store, and outcomes of attempts that
        could not be recorded are found out again by the next process, with the same keys.
        """
        self.ready = False
        self.dispatcher.pause()
        log.error("store cannot commit", error=str(error))
        refuse(taken)
        again = [w for w in taken if w.inputs and all(isinstance(i, Ended) for i in w.inputs)]
        # a first pause too: a disk that is nearly full takes a small commit right after it refused a large one
        while True:
            waiting, self._queue, self._rows = list(self._queue), deque(), 0
            again += [w for w in waiting if w.inputs and all(isinstance(i, Ended) for i in w.inputs)]
            refuse(waiting)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_S)
            if self._stop.is_set():
                log.warning("ended while the store could not commit", outcomes_not_recorded=len(again))
                return
            if await self._restored():
                break
            self.metrics.commit_failed()
        self._queue.extendleft(reversed(again))
        self.ready = not self.is_damaged
        self.dispatcher.resume()
        log.info("store commits again", seq=self.seq)

    def damaged(self, error: StoreError) -> None:
        """The store was found damaged. A start would be refused, so what is promised now could not be kept."""
        self.is_damaged, self.ready = True, False
        log.error("the store is damaged: nothing more is taken until it is restored", error=str(error))

    async def _restored(self) -> bool:
        """Take the state back from the store and prove with a tick that it commits."""
        now_ms = self._now()
        if self.is_damaged:
            return False
        try:
            if await asyncio.to_thread(self.store.room_bytes) < ROOM_BYTES:
                return False
            back = await asyncio.to_thread(recover, self.store, now_ms, known=self.engine.site)
            effects = back.engine.step((), now_ms)
            commit = Commit(
                back.seq + 1, now_ms, encode_frame(now_ms, ()), effects.decisions, effects.deliveries, effects.endings
            )
            await self.written(self.store.commit, commit)
        except StoreBrokenError:
            raise
        except StoreDamagedError as error:
            self.damaged(error)
            return False
        except StoreError:
            return False
        self.engine, self.seq = back.engine, back.seq + 1
        self.checkpoint_seq, self.tail_rows = back.seq - back.tail, back.rows
        self._send(effects)
        self._measure(effects)
        return True

    # -- checkpoints and gauges ------------------------------------------------------------------------------------

    def _maybe_checkpoint(self, now_ms: int) -> None:
        late = self.seq > self.checkpoint_seq and now_ms - self._checkpoint_ms >= CHECKPOINT_MS
        running = self._checkpointing is not None and not self._checkpointing.done()
        if self.ready and not running and (late or self.tail_rows >= CHECKPOINT_ROWS):
            self._checkpointing = asyncio.create_task(self._checkpoint(now_ms))

    def _checkpoint(self, now_ms: int) -> Coroutine[Any, Any, None]:
        """Copy the state as it is now; what comes back packs and keeps the copy, beside the next steps."""
        self.checkpoint_seq, self.tail_rows, self._checkpoint_ms = self.seq, 0, now_ms
        return self._save(self.seq, now_ms, copied(self.engine))

    async def _save(self, seq: int, now_ms: int, copy: Copied) -> None:
        try:
            state = await asyncio.to_thread(packed, copy)
            await asyncio.to_thread(self.store.save_checkpoint, Checkpoint(seq, now_ms, state))
            self.metrics.checkpointed(now_ms)
        except StoreError as error:
            log.warning("no checkpoint was kept, the journal is whole", error=str(error))

    def measure(self, checkpoint_ms: int | None) -> None:
        """Tell the metrics what a start found; `checkpoint_ms` is when its checkpoint was taken, if there was one."""
        if checkpoint_ms is not None:
            self.metrics.checkpointed(checkpoint_ms)
        self._measure_state()

    def _measure(self, effects: Effects) -> None:
        self.metrics.effects(effects)
        self._measure_state()

    def _measure_state(self) -> None:
        self.metrics.devices(len(self.engine.sense.devices))
        self.metrics.tail(self.tail_rows)

    # -- edits -----------------------------------------------------------------------------------------------------

    @property
    def site(self) -> Site:
        """The version of the site in force."""
        return self.engine.site

    async def edit(self, site: Site) -> None:
        """Bring a compiled version of the site into force."""
        self.engine.prepare(site)
        await self.submit((Edited(site.version, dict(site.files)),))

    async def erase(self, user: str) -> None:
        """Forget a user, in one commit."""
        await self.submit((Erased(user),))

    async def resend(self, delivery: Delivery) -> bool:
        """Send an ended delivery again, with its `ttl` counted from now. One request at a time may ask for a key.

        False: its rule no longer runs, or it was cancelled while an attempt was made that has not landed yet.
        """
        key = delivery.key
        if self.dispatcher.holds(key):
            return False
        # one that was sent again before expires that much later: what it had then is no `ttl`
        ttl_ms = min(delivery.expires_ms - delivery.created_ms, ttl_most_ms(delivery.body))
        item = Resent(
            key, delivery.decision, delivery.user, delivery.rule, list(delivery.tags), delivery.place,
            delivery.test, ttl_ms,
        )  # fmt: skip
        self._resending[key] = delivery
        try:
            await self.submit((item,))
            return key not in self._resending
        finally:
            self._resending.pop(key, None)


def _since(delivery: Delivery, request: int, received_ms: Sequence[float]) -> Delivery:
    return replace(delivery, received_ms=received_ms[request]) if 0 <= request < len(received_ms) else delivery


def _once_more(delivery: Delivery, expires_ms: int) -> Delivery:
    """The delivery as the store has it once it is pending again."""
    return replace(
        delivery, state=DeliveryState.PENDING, expires_ms=expires_ms, attempt_open=False, ended_ms=None, detail=""
    )


def _edited(effects: Effects) -> tuple[str, dict[str, bytes]] | None:
    return None if effects.edited is None else (effects.edited.version, effects.edited.files)
