"""One shard on its worker: its devices in memory, and the fold of its records, in order and without a gap.

Owns loading, the order of a fold's effects (people, decisions written, then devices with the offset, all or nothing),
and what happens when a part of it fails: the devices are let go and loaded again. Must not know Faust, nor how the
store compares. The state that counts is in the store: memory is a cache, and a worker that lost the shard finds out
when it stores.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import accumulate, groupby
from secrets import token_hex
from typing import TYPE_CHECKING

import structlog

from connectors.kafka_writer import WriteError
from connectors.redis_shards import NOTHING, StoredShard
from engine.concerned import is_edit
from engine.outward import to_json, transition_line
from engine.ports import StoreError
from engine.shard import pack_devices, pack_meta, read_meta, unpack_devices
from engine.step import Engine
from engine.together import can_go_together, together
from engine.told import Telling
from engine.wire import Edited, Frame, FrameError, Located, decode_frame
from engine.wire_check import fault_of
from nearcast.shard_people import ShardPeople

if TYPE_CHECKING:
    from collections.abc import Sequence

    from connectors.kafka_reader import Record
    from engine.step import Sensed
    from engine.wire import Input
    from nearcast.shard_parts import Outcome, Parts
    from nearcast.shard_people import Folded

log = structlog.get_logger("nearcast.shard")

#: A record with more rows than this was written by nobody of ours, and would hold the shard up.
ROWS_MAX = 200_000
#: The store may be ahead of the topic at so many looks before it is believed.
AHEAD_LOOKS = 6
#: Of a dead letter so much of its value is kept.
_DEAD_BYTES_MAX = 1 << 20


class LostError(Exception):
    """Another worker has the shard: nothing of it may be touched here."""


class UnfitError(StoreError):
    """What is stored and what is in the topic do not fit together: waiting does not help."""


class Shard:
    """The fold of one shard. `load` comes first, and again after anything was raised."""

    def __init__(self, number: int, parts: Parts) -> None:
        self.number = number
        self.seq = 0
        self.offset = NOTHING
        self._parts = parts
        self._people = ShardPeople(parts, number)
        self._engine: Engine | None = None
        self._stored = StoredShard()
        #: Up to this offset records are folded one by one, since one of them cannot be.
        self._one_by_one = NOTHING
        self._ahead = 0

    @property
    def loaded(self) -> bool:
        """Whether the devices are in memory."""
        return self._engine is not None

    @property
    def version(self) -> str:
        """The version of the site in force here; none while it is not loaded."""
        return "" if self._engine is None else self._engine.site.version

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return len(self._engine.sense.devices) if self._engine is not None else 0

    def due_ms(self) -> int | None:
        """When the next timer is due; None when none runs."""
        return None if self._engine is None else self._engine.next_due_ms()

    @property
    def now_ms(self) -> int:
        """The shard's clock: the broker's, as of the last record."""
        return 0 if self._engine is None else self._engine.now_ms

    def drop(self) -> None:
        """Let the devices go."""
        self._engine = None

    # -- loading ---------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take the shard from the store. Raises `StoreError`, also when the store is ahead of the topic."""
        parts = self._parts
        self._engine = None
        stored = await parts.shards.read(self.number)
        if stored.meta is None:  # it was never folded: it begins under the version that is wanted
            begin, now_ms = await self._beginning()
            self._engine, self.seq = Engine(parts.sites.site, now_ms), parts.sites.seq
            self._stored, self.offset = stored, begin - 1
            return
        ends = await parts.reader.ends([self.number])
        if stored.offset >= ends[self.number]:
            self._ahead += 1
            kind = UnfitError if self._ahead >= AHEAD_LOOKS else StoreError  # a new leader may be a moment behind
            raise kind(
                f"shard {self.number} in redis reflects record {stored.offset}, but `{parts.names.pings}` ends before"
                f" {ends[self.number]}: the topic was made anew, choose another `cluster.name`, or delete the keys"
                f" `{{{parts.names.name}.*` in redis"
            )
        self._ahead = 0
        meta = read_meta(stored.meta)
        engine = Engine(await parts.sites.compiled(meta.site), meta.now_ms)
        async for piece in parts.shards.devices(self.number, stored.generation):
            unpack_devices(engine.sense, meta, piece)
        engine.sense.reschedule()
        self._engine, self._stored = engine, stored
        self.offset, self.seq = stored.offset, meta.seq

    async def _beginning(self) -> tuple[int, int]:
        """The offset of the oldest record, and its time; of an empty topic, the time that it is."""
        parts, at = self._parts, [self.number]
        begin, end = (await parts.reader.begins(at))[self.number], (await parts.reader.ends(at))[self.number]
        now_ms = parts.clock.now_ms()
        if begin < end:
            async with aclosing(parts.reader.stretch(self.number, begin, begin + 1)) as stretch:
                async for piece in stretch:
                    now_ms = piece[0].time_ms
        return begin, now_ms

    async def is_current(self) -> bool:
        """Whether what is in memory is what is stored: it may be used again after the shard was away."""
        return self._engine is not None and (await self._parts.shards.read(self.number)) == self._stored

    # -- folding ---------------------------------------------------------------------------------------------------

    async def fold(self, records: Sequence[Record]) -> None:
        """Fold records in order; those that are folded already are left out, what is missing between is read.

        Raises `StoreError` and `LostError`; then the shard must be loaded again.
        """
        try:
            fresh = [record for record in records if record.offset > self.offset]
            if not fresh:
                self._parts.metrics.frames("skipped", len(records))
                return
            self._parts.metrics.frames("skipped", len(records) - len(fresh))
            if fresh[0].offset > self.offset + 1:
                await self._refold(fresh[0].offset)
            await self._fold_all(fresh)
        except BaseException:
            self._engine = None
            raise

    async def catch_up(self) -> None:
        """Fold what is in the topic and was not brought. Raises as `fold`."""
        try:
            ends = await self._parts.reader.ends([self.number])
            if ends[self.number] > self.offset + 1:
                await self._refold(ends[self.number])
        except BaseException:
            self._engine = None
            raise

    async def _refold(self, until: int) -> None:
        parts = self._parts
        begin = (await parts.reader.begins([self.number]))[self.number]
        if begin > self.offset + 1:
            log.error(
                "records are gone from the topic before they were folded, its retention is too short",
                shard=self.number, topic=parts.names.pings, first=self.offset + 1, last=begin - 1,
            )  # fmt: skip
            parts.metrics.frames("gone", begin - self.offset - 1)
            self.offset = begin - 1
        async with aclosing(parts.reader.stretch(self.number, self.offset + 1, until)) as stretch:
            async for piece in stretch:
                parts.metrics.frames("refolded", len(piece))
                await self._fold_all([record for record in piece if record.offset > self.offset])

    async def _fold_all(self, records: Sequence[Record]) -> None:
        """Fold records that follow each other, in groups: an edit of the site is one of its own."""
        group: list[tuple[Record, Frame]] = []
        for record in records:
            frame = await self._decoded(record)
            alone = frame is None or is_edit(frame.inputs) or record.offset <= self._one_by_one
            if alone and group:
                await self._fold_group(group)
                group = []
            if frame is not None:
                group.append((record, frame))
            else:
                await self._skip(record)
            if alone and group:
                await self._fold_group(group)
                group = []
        if group:
            await self._fold_group(group)

    async def _fold_group(self, group: Sequence[tuple[Record, Frame]]) -> None:
        try:
            await self._fold_whole(group)
        except (StoreError, LostError, asyncio.CancelledError):
            raise
        except Exception as error:
            first, last = group[0][0], group[-1][0]
            log.error(
                "records cannot be folded", shard=self.number, first=first.offset, last=last.offset, exc_info=error
            )
            await self.load()
            if len(group) > 1:  # which of them is it
                self._one_by_one = last.offset
                await self._fold_all([record for record, _ in group])
                return
            await self._bury(first, f"cannot be folded: {type(error).__name__}: {error}")
            await self._skip(first)

    async def _fold_whole(self, group: Sequence[tuple[Record, Frame]]) -> None:
        """The fold of a group: sense, judge, write out, store."""
        engine, parts = self._engine, self._parts
        assert engine is not None, "`load` comes first"
        site = engine.site
        folded: list[Folded] = []
        touched: set[str] = set()
        seq = self.seq
        with parts.metrics.step_timer():
            for joins, run in groupby(group, key=lambda one: can_go_together(one[1])):
                some = list(run)
                if joins and len(some) > 1:
                    found, names = _joined(engine, some)
                    folded += found
                    touched |= names
                    continue
                for record, frame in some:
                    inputs, seq = await self._prepared(engine, frame.inputs, seq)
                    sensed = engine.sensed(inputs, max(engine.now_ms, record.time_ms))
                    touched.update(touched_by(inputs, [sensed]))
                    folded.append((record.offset, frame.now_ms, sensed))
        outcome, _ = await self._people.judge(folded, site)
        await self._write_out(outcome)
        await self._store(engine, group[-1][0].offset, touched, seq, [sensed for _, _, sensed in folded])
        parts.metrics.frames("folded", len(group))
        counted = [one for _, _, sensed in folded for one in sensed.counted]
        parts.metrics.repeated(counted)
        parts.metrics.happened(
            counted,
            outcome.transitions,
            [decision for made in outcome.decided.values() for _, decision, _ in made],
        )

    async def _prepared(self, engine: Engine, inputs: Sequence[Input], seq: int) -> tuple[list[Input], int]:
        """The inputs, with the site of an edit compiled; one that is not newer than what is in force is left out."""
        kept: list[Input] = []
        for item in inputs:
            if isinstance(item, Edited):
                if item.seq <= seq:
                    continue
                engine.prepare(await self._parts.sites.compiled(item.version))
                seq = item.seq
            kept.append(item)
        return kept, seq

    async def _write_out(self, outcome: Outcome) -> None:
        """Decisions and transitions, acknowledged: what is stored after must not be ahead of them."""
        parts = self._parts
        decisions = await self._people.written(outcome)
        await asyncio.gather(
            parts.places.note(outcome.transitions),
            *(parts.writer.write(parts.names.decisions, value, key=user.encode()) for user, value in decisions),
            *(
                parts.writer.write(parts.names.transitions, to_json(transition_line(told)), key=told.device.encode())
                for told in outcome.transitions
            ),
        )

    async def _store(self, engine: Engine, offset: int, touched: set[str], seq: int, sensed: Sequence[Sensed]) -> None:
        """Devices and offset, all or nothing. Raises `LostError` when another worker stored since."""
        devices = engine.sense.devices
        edited = seq != self.seq
        names = devices.slots if edited else touched & devices.slots.keys()
        erased = (device for step in sensed for forgotten in step.erased.values() for device in forgotten)
        gone = {device for device in erased if device not in devices.slots}
        generation = f"{seq}-{token_hex(4)}" if edited else self._stored.generation
        packed = pack_devices(engine.sense, [devices.slots[name] for name in names])
        after = StoredShard(offset, generation, pack_meta(offset, engine.now_ms, engine.site.version, seq))
        with self._parts.metrics.commit_timer():
            found = await self._parts.shards.store(self.number, self._stored, after, packed, gone)
        if found is not None and found > self._stored.offset:
            raise LostError(f"shard {self.number} was stored by another worker up to record {found}")
        if found is not None:
            raise StoreError(f"redis went back from record {self._stored.offset} of shard {self.number} to {found}")
        self._stored, self.offset, self.seq = after, offset, seq

    # -- dead letters ----------------------------------------------------------------------------------------------

    async def _decoded(self, record: Record) -> Frame | None:
        """The frame of a record; None when it was none, and was put aside."""
        try:
            frame = decode_frame(record.value)
            located = [item for item in frame.inputs if isinstance(item, Located)]
            rows = sum(len(item.time) // 8 for item in located)
            if rows > ROWS_MAX:
                why = f"holds {rows} rows, at most {ROWS_MAX} are folded at a time, post them in smaller requests"
            elif faults := [fault for item in located if (fault := fault_of(item))]:
                why = faults[0]
            else:
                return frame
        except FrameError as error:
            why = str(error)
        await self._bury(record, why)
        return None

    async def _bury(self, record: Record, why: str) -> None:
        """Put a record aside, for people to look at. Raises `StoreError`."""
        names = self._parts.names
        headers = (
            ("topic", names.pings.encode()),
            ("partition", str(self.number).encode()),
            ("offset", str(record.offset).encode()),
            ("reason", why.encode()),
        )
        try:
            await self._parts.writer.write(names.dead, record.value[:_DEAD_BYTES_MAX], headers=headers)
        except WriteError as error:
            if not error.too_large:
                raise
            await self._parts.writer.write(names.dead, b"", headers=headers)
        self._parts.metrics.frames("dead", 1)
        log.error("a record was put aside", shard=self.number, offset=record.offset, why=why, topic=names.dead)

    async def _skip(self, record: Record) -> None:
        """Go on behind a record that is not folded."""
        assert self._engine is not None
        await self._store(self._engine, record.offset, set(), self.seq, ())


def _joined(engine: Engine, group: Sequence[tuple[Record, Frame]]) -> tuple[list[Folded], set[str]]:
    """Sense records together that hold pings, or nothing; the devices that they touched."""
    instants = accumulate((record.time_ms for record, _ in group), max, initial=engine.now_ms)
    next(instants)
    frames = together([Frame(now_ms, frame.inputs) for now_ms, (_, frame) in zip(instants, group, strict=True)])
    found = engine.sensed_each(frames)
    folded = [
        (record.offset, float(frame.now_ms), sensed) for (record, frame), sensed in zip(group, found, strict=True)
    ]
    return folded, touched_by((frames.located,), found)


def touched_by(inputs: Sequence[Input], steps: Sequence[Sensed]) -> set[str]:
    """The devices that some steps touched: those that were located, and those that timers told something of."""
    names: set[str] = set()
    for item in inputs:
        if isinstance(item, Located):
            names.update(item.strings[number] for number in set(item.column("device").tolist()))
    for sensed in steps:
        for happening in sensed.happenings:
            if isinstance(happening, Telling):
                names.update(happening.devices)
    return names
