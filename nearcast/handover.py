"""The deliveries of a dispatcher: taken up from records, attempted, and recorded when they have ended.

Owns that a record counts as done only when all its deliveries have ended and that is recorded, and that what is known
to have ended is not attempted again. Must not know Kafka, nor how attempts are made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from connectors.redis_deliveries import KeptDelivery
from engine.decided import Decided, DecidedError, decode_decided
from engine.layout import NEVER
from engine.low_water import LowWater
from engine.outward import ttl_most_ms
from engine.person import read_erased_ms, read_person
from engine.ports import DeliveryState, StoreError
from nearcast.ended_lately import EndedLately, is_forgotten
from nearcast.settling import Settling
from rules.decide import recheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from connectors.dispatch import Dispatcher, Verdict
    from connectors.kafka_reader import Record
    from connectors.redis_deliveries import RedisDeliveries
    from connectors.redis_people import StoredPerson
    from engine.person import Person
    from engine.ports import Delivery, Ending
    from nearcast.cluster import Cluster

log = structlog.get_logger("nearcast.dispatcher")

_PAUSE_S: Final = 0.25
#: So many ends are recorded in one go.
_BATCH_MAX: Final = 500
#: What has not ended after this is noted as pending, for people who look. Most ends come within milliseconds.
_NOTE_S: Final = 1.0
#: A user who was read for an attempt need not be read again when it ends within this. It must be shorter than what a
#: store takes to go down and come up with less: what was read before must not be compared with what is there after.
_KNOWN_S: Final = 0.25


@dataclass(slots=True)
class _Held:
    """A delivery that has not ended, and the records that it came with. `read` is its user as of its last attempt."""

    delivery: Delivery
    again: int
    places: list[tuple[int, int]] = field(default_factory=list)
    read: StoredPerson | None = None
    read_s: float = 0.0


class Handover:
    """What a dispatcher has taken up. `dispatcher` is set once it is made: each calls the other."""

    dispatcher: Dispatcher

    def __init__(self, cluster: Cluster, deliveries: RedisDeliveries, gone: Callable[[int, Record, str], None]) -> None:
        self._cluster = cluster
        self._deliveries = deliveries
        self._limits = Settling(cluster.people, cluster.clock)
        self._unreadable = gone
        self._held: dict[str, _Held] = {}
        self._left: dict[tuple[int, int], int] = {}
        self._marks: dict[int, LowWater] = {}
        self._released: set[str] = set()
        self._ended: deque[tuple[_Held, Delivery]] = deque()
        self._unnoted: deque[tuple[float, str]] = deque()
        self._lately = EndedLately()
        self._wake = asyncio.Event()
        self._recorded = asyncio.Event()
        self._recorded.set()
        self.waits = False

    def __len__(self) -> int:
        return len(self._held)

    def marks(self) -> dict[int, int]:
        """For each partition the next offset that is not done."""
        found = {p: mark.next_offset for p, mark in self._marks.items()}
        return {p: offset for p, offset in found.items() if offset is not None}

    # -- taking up -------------------------------------------------------------------------------------------------

    async def take_up(self, partition: int, records: Sequence[Record]) -> None:
        """Take up what is to be delivered of these records. Raises `StoreError`; then nothing of them was taken.

        What ended here counts, whatever Redis says of it: it may end while Redis is asked, and Redis may have lost
        what it was told.
        """
        found = [(record, self._decoded(partition, record)) for record in records]
        keys = [d.key for _, decided in found if decided is not None for d in decided.deliveries]
        stored = dict(zip(keys, await self._deliveries.read(keys), strict=True)) if keys else {}
        known = {key: self._lately.than(key, kept) for key, kept in stored.items()}
        forgotten = [kept for key, kept in known.items() if kept is not None and kept is not stored[key]]
        fresh: list[KeptDelivery] = []
        done: list[KeptDelivery] = []
        places: dict[str, list[tuple[int, int]]] = {}
        begun: dict[str, KeptDelivery] = {}
        for record, decided in found:
            for delivery in decided.deliveries if decided is not None else ():
                assert decided is not None
                kept = known[delivery.key]
                if kept is not None and kept.again >= decided.again and kept.over:
                    done.append(kept)
                    continue
                places.setdefault(delivery.key, []).append((partition, record.offset))
                if delivery.key not in begun and delivery.key not in self._held:
                    one = self._begin(delivery, decided, kept)
                    begun[delivery.key] = one
                    if kept is None or kept.again < decided.again:
                        fresh.append(one)
        at_once = [one for one in fresh if one.again or one.delivery.at_most_once]
        await self._note(forgotten + at_once)
        await self._forget_erased(done)  # who ended them may itself have ended before it looked
        await self._limits.settle([k.delivery for k in done], [k for k in fresh if k.again])
        for key in places.keys() - self._held.keys() - begun.keys():  # ended meanwhile
            del places[key]
        self._count(partition, [record for record, _ in found], places)
        for key, one in begun.items():
            self._held[key] = _Held(one.delivery, one.again)
            self._cluster.metrics.begun(one.delivery.channel)
        now_s, noted = self._cluster.clock.monotonic_s(), {one.delivery.key for one in at_once}
        self._unnoted += [(now_s, one.delivery.key) for one in fresh if one.delivery.key not in noted]
        for key, at in places.items():
            self._held[key].places += at
        self.dispatcher.add(*(one.delivery for one in begun.values()))

    def _begin(self, delivery: Delivery, decided: Decided, kept: KeptDelivery | None) -> KeptDelivery:
        if kept is not None and kept.again >= decided.again:
            return kept  # another process began it, and did not come to its end
        if not decided.again:
            return KeptDelivery(delivery)
        now_ms = self._cluster.clock.now_ms()
        # one that was sent again before expires that much later: what it had then is no `ttl`
        ttl_ms = min(delivery.expires_ms - delivery.created_ms, ttl_most_ms(delivery.body))
        return KeptDelivery(
            replace(
                delivery, state=DeliveryState.PENDING, attempts=0, attempt_open=False, ended_ms=None, detail="",
                received_ms=None, expires_ms=now_ms + ttl_ms,
            ),
            decided.again,
        )  # fmt: skip

    def _decoded(self, partition: int, record: Record) -> Decided | None:
        try:
            return decode_decided(record.value)
        except DecidedError as error:
            self._unreadable(partition, record, str(error))
            return None

    def _count(self, partition: int, records: Sequence[Record], places: dict[str, list[tuple[int, int]]]) -> None:
        """Note the records, and how many deliveries of each have not ended."""
        mark = self._marks.setdefault(partition, LowWater())
        left: dict[int, int] = {}
        for at in places.values():
            for _, offset in at:
                left[offset] = left.get(offset, 0) + 1
        for record in records:
            mark.begin(record.offset)
            if record.offset in left:
                self._left[partition, record.offset] = left[record.offset]
            else:
                mark.end(record.offset)

    async def let_go(self, partitions: Iterable[int], within_s: float) -> None:
        """Others go on with these partitions: attempts under way may land for so long, and are recorded."""
        theirs = set(partitions)
        keys = [key for key, held in self._held.items() if any(p in theirs for p, _ in held.places)]
        self._released.update(keys)
        self.dispatcher.release(*keys)
        try:
            async with asyncio.timeout(within_s):
                while any(key in self._held and self.dispatcher.holds(key) for key in keys) or self._ended:
                    self._recorded.clear()
                    await asyncio.wait_for(self._recorded.wait(), within_s)
        except TimeoutError:
            log.warning("attempts did not land before their partitions were taken, they are repeated")
        for key in keys:
            self._held.pop(key, None)
        self._left = {at: n for at, n in self._left.items() if at[0] not in theirs}

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions are gone: how far they were done is no longer ours to say."""
        for partition in partitions:
            self._marks.pop(partition, None)

    def stopped(self, running: frozenset[str]) -> None:
        """Only these rules run from now on: what is pending of others is cancelled."""
        keys = [key for key, held in self._held.items() if held.delivery.rule not in running]
        self.dispatcher.give_up(*keys, why="its rule no longer runs")

    # -- before an attempt -----------------------------------------------------------------------------------------

    async def may_go(self, delivery: Delivery) -> Verdict:
        """Whether an attempt may be made, as of now. Raises `StoreError`."""
        site = self._cluster.sites.site
        rule = site.rules.rule(delivery.rule)
        if rule is None or not rule.acts:
            return "cancelled"
        person = await self._person(delivery)
        if person is None or person.erased_ms >= delivery.created_ms:
            return "cancelled"
        place = site.places.get(delivery.place) if delivery.place is not None else None
        return recheck(rule, person.user, self._cluster.clock.now_ms(), place=place, ruleset=site.rules)

    async def before_attempt(self, delivery: Delivery, number: int) -> None:
        """Note that an attempt is begun that must not be repeated. Raises `StoreError`."""
        held = self._held.get(delivery.key)
        begun = replace(delivery, attempts=number - 1, attempt_open=True)
        await self._note([KeptDelivery(begun, held.again if held is not None else 0)])

    async def _person(self, delivery: Delivery) -> Person | None:
        read_s = self._cluster.clock.monotonic_s()
        stored = (await self._cluster.people.read([delivery.user]))[delivery.user]
        held = self._held.get(delivery.key)
        if held is not None:
            held.read, held.read_s = stored, read_s
        return None if stored.value is None else read_person(stored.value)

    # -- when it has ended -----------------------------------------------------------------------------------------

    def ended(self, delivery: Delivery, ending: Ending) -> None:
        """A delivery came to its end: it is recorded soon."""
        held = self._held.get(delivery.key)
        if held is None or (delivery.key in self._released and ending.state is DeliveryState.CANCELLED):
            self._released.discard(delivery.key)
            self._recorded.set()
            return
        over = replace(
            held.delivery, state=ending.state, attempts=ending.attempts, attempt_open=False, ended_ms=ending.at_ms,
            detail=ending.detail,
        )  # fmt: skip
        self._ended.append((held, over))
        self._lately.note(KeptDelivery(over, held.again))
        self._wake.set()

    async def record(self) -> None:
        """Record what has ended, and note what has not for a while, again until it works; never returns."""
        while True:
            if not self._ended:
                self._recorded.set()
                self._wake.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_NOTE_S):
                        await self._wake.wait()
            batch = [self._ended[i] for i in range(min(len(self._ended), _BATCH_MAX))]
            pending = self._pending_for_long()
            try:
                ends = [KeptDelivery(over, held.again) for held, over in batch]
                await asyncio.gather(  # over one connection they are one write, and one sync of the store's file
                    self._note(pending + ends),
                    self._limits.settle([over for _, over in batch], [], self._known(batch)),
                )
            except StoreError as error:
                self._wait(True, str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            self._wait(False, "")
            for _ in pending:
                self._unnoted.popleft()
            for held, over in batch:
                self._ended.popleft()
                self._held.pop(over.key, None)
                self._released.discard(over.key)
                self._done(held)

    async def _note(self, kept: Sequence[KeptDelivery]) -> None:
        """Note how deliveries stand, those of erased users apart. Raises `StoreError`.

        Erased is who is so after the write: whoever erases them meanwhile may have looked for deliveries before it.
        """
        await self._deliveries.write(kept)
        await self._forget_erased(kept)

    async def _forget_erased(self, kept: Sequence[KeptDelivery]) -> None:
        """Have nothing kept of deliveries whose user was erased since they were decided."""
        if not kept:
            return
        stored = await self._cluster.people.read(sorted({one.delivery.user for one in kept}))
        erased_ms = {user: read_erased_ms(one.value) for user, one in stored.items() if one.value is not None}
        gone = [one for one in kept if erased_ms.get(one.delivery.user, NEVER) >= one.delivery.created_ms]
        if gone:
            await self._deliveries.drop(gone)

    def _pending_for_long(self) -> list[KeptDelivery]:
        """Some of what is held and neither ended nor noted after a while: the first of those not noted."""
        until_s, ended = self._cluster.clock.monotonic_s() - _NOTE_S, {over.key for _, over in self._ended}
        found: list[KeptDelivery] = []
        while len(found) < min(len(self._unnoted), _BATCH_MAX):
            since_s, key = self._unnoted[len(found)]
            held = self._held.get(key)
            if held is None or key in ended:
                del self._unnoted[len(found)]
            elif since_s > until_s:
                break
            else:
                found.append(KeptDelivery(held.delivery, held.again))
        return found

    def _known(self, batch: Sequence[tuple[_Held, Delivery]]) -> dict[str, StoredPerson]:
        """The users that were read just now, as the newest was."""
        after_s = self._cluster.clock.monotonic_s() - _KNOWN_S
        found: dict[str, StoredPerson] = {}
        for held, over in batch:
            if held.read is not None and held.read_s > after_s:
                known = found.setdefault(over.user, held.read)
                if held.read.number > known.number:
                    found[over.user] = held.read
        return found

    async def look_back(self) -> None:
        """Record once more what ended lately and the store does not know, as after its last moments were lost.

        The newest are looked at first, and others only while some are missing. Raises `StoreError`.
        """
        for piece in self._lately.pieces():
            found = await self._deliveries.read([one.delivery.key for one in piece])
            lost = [
                mine for mine, kept in zip(piece, found, strict=True)
                if is_forgotten(mine, kept) and mine.delivery.key not in self._held
            ]  # fmt: skip
            lost = await self._still_kept(lost) if lost else lost
            if not lost:
                return
            log.warning("redis forgot that deliveries had ended, it is told again", deliveries=len(lost))
            await self._note(lost)
            await self._limits.settle([one.delivery for one in lost], [])

    async def _still_kept(self, lost: Sequence[KeptDelivery]) -> list[KeptDelivery]:
        """Those of them whose user is known and was not erased since, and that did not end too long ago."""
        oldest_ms = self._cluster.clock.now_ms() - self._cluster.settings.keep.decisions_ms
        stored = await self._cluster.people.read(sorted({one.delivery.user for one in lost}))
        persons = {name: read_person(one.value) for name, one in stored.items() if one.value is not None}
        kept = []
        for one in lost:
            person, ended_ms = persons.get(one.delivery.user), one.delivery.ended_ms
            if person is not None and person.erased_ms < one.delivery.created_ms and (ended_ms or 0) > oldest_ms:
                kept.append(one)
        return kept

    def _done(self, held: _Held) -> None:
        for at in held.places:
            left = self._left.get(at)
            if left is None:
                continue
            if left > 1:
                self._left[at] = left - 1
            else:
                del self._left[at]
                self._marks[at[0]].end(at[1])

    def _wait(self, waits: bool, why: str) -> None:
        if waits and not self.waits:
            log.warning("deliveries wait", why=why)
            self.dispatcher.pause()
        elif self.waits and not waits:
            log.info("deliveries go on")
            self.dispatcher.resume()
        self.waits = waits
