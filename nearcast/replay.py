"""Replay: recordings through the same fold, on the recording's clock. Nothing is sent.

Owns the recording's clock and what is counted and written. Must not know the formats of recordings
(`nearcast/recording.py`). The clock is the running maximum of the pings' `received` if they have one, else of their
`time`.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from connectors.store_sqlite import SqliteStore
from engine.ping import columns
from engine.ports import DeliveryState
from engine.snapshot import restore, site_version
from engine.step import Engine
from engine.wire import COLUMNS, Edited, Ended, Happened, Input, Located, UserChanged, decode_frame
from nearcast.fault import ExitCode, InputFaultError
from nearcast.folder import read_folder
from nearcast.recording import Skipped, read_recordings
from nearcast.recover import compiled
from nearcast.replay_report import Tally, progress_bar, report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.ping import Rows
    from engine.site import Site
    from engine.step import Effects
    from nearcast.replay_options import ReplayOptions

#: One step of the fold spans at most this much of the recording's clock: timers ring at most so much later.
SPAN_MS = 1_000


def replay(site_path: Path, options: ReplayOptions) -> int:
    """Carry out `nearcast replay`: fold, write the files asked for, print the counts. Raises `InputFaultError`."""
    site = compiled(read_folder(site_path))
    stores = [f for f in options.files if f.suffix == ".db"]
    with ExitStack() as stack:
        tally = Tally(
            decisions=_open(stack, options.decisions),
            transitions=_open(stack, options.transitions),
        )
        if options.from_store or stores:
            path = stores[0] if stores else site_path / site.settings.store
            with progress_bar(options, "frames") as bar:
                replay_store(path, site, tally, bar)
        else:
            with progress_bar(options, "pings") as bar:
                replay_files(site, options, tally, bar)
    report(tally, options, sys.stdout)
    return ExitCode.GOOD


def replay_files(site: Site, options: ReplayOptions, tally: Tally, bar: Any) -> None:
    """Fold recorded files, in the order given."""
    folding = Folding(site, tally, assume_consent=options.assume_consent)
    if options.users is not None:
        for item in read_recordings((options.users,), device=None, sort=False):
            if isinstance(item, UserChanged):
                folding.users.append(item)
            elif not isinstance(item, Skipped):
                raise InputFaultError(f"{options.users}: holds more than users, give it as a FILE instead")
    for item in read_recordings(options.files, device=options.device, sort=options.sort):
        if isinstance(item, Skipped):
            tally.skip(item)
        elif isinstance(item, Happened | UserChanged):
            folding.other(item)
        else:
            folding.pings(item.rows)
            bar.advance(len(item.rows))
    folding.end()


@dataclass(slots=True)
class Folding:
    """A recording on its way through the engine."""

    site: Site
    tally: Tally
    assume_consent: bool = False
    users: list[UserChanged] = field(default_factory=list)
    engine: Engine | None = None
    clock_ms: int | None = None
    _ended: list[Ended] = field(default_factory=list)

    def pings(self, rows: Rows) -> None:
        """Fold pings and sightings: each row is a request of its own, received as the clock stood at it."""
        if not len(rows):
            return
        batch, times = columns([rows]), np.array(rows.times, np.int64)
        said = np.array([t if r is None else r for t, r in zip(rows.times, rows.received, strict=True)], np.int64)
        if self.clock_ms is not None:
            said[0] = max(int(said[0]), self.clock_ms)
        clock = np.maximum.accumulate(said)
        keep = self._judge_times(times, clock)
        self._start(int(clock[0]))
        self.clock_ms = int(clock[-1])
        at = np.nonzero(keep)[0]
        start = 0
        while start < len(at):
            first_ms = int(clock[at[start]])
            stop = int(np.searchsorted(clock[at], first_ms + SPAN_MS, side="left"))
            part = at[start : max(stop, start + 1)]
            self._step([_take(batch, part, clock)], first_ms)
            start += len(part)

    def other(self, item: Happened | UserChanged) -> None:
        """Fold an event or a change of a user; an event's time moves no clock."""
        if self.engine is None:
            if isinstance(item, UserChanged):
                self.users.append(item)
                return
            self._start(item.time_ms)
        assert self.clock_ms is not None
        self._step([item], self.clock_ms)

    def end(self) -> None:
        """At the recording's end the timers due by then fire; later ones do not."""
        if self.engine is not None and self.clock_ms is not None:
            self._step([], self.clock_ms)

    def _start(self, clock_ms: int) -> None:
        if self.engine is not None:
            return
        self.clock_ms = clock_ms
        self.engine = Engine(self.site, clock_ms)
        if self.assume_consent:
            self.engine.people.assumed = self.site.rules.purposes
        if self.users:
            self._step(list(self.users), clock_ms)

    def _judge_times(self, times: np.ndarray[Any, Any], clock: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        limits = self.site.settings.ping
        old = times < clock - limits.max_age_ms
        ahead = times > clock + limits.max_ahead_ms
        self.tally.reject("too_old", int(old.sum()))
        self.tally.reject("in_future", int(ahead.sum()))
        keep: np.ndarray[Any, Any] = ~(old | ahead)
        return keep

    def _step(self, inputs: Sequence[Input], now_ms: int) -> None:
        """One step. What was to be sent counts as delivered in the next one, as a good channel would answer."""
        assert self.engine is not None
        effects = self.engine.step([*self._ended, *inputs], max(now_ms, self.engine.now_ms))
        self._ended = [Ended(d.key, d.decision, d.user, DeliveryState.DELIVERED.value) for d in effects.deliveries]
        self.tally.effects(effects)


def _take(batch: Located, at: np.ndarray[Any, Any], clock: np.ndarray[Any, Any]) -> Located:
    """Some rows of a batch, each a request of its own, with the clock as the time received."""
    parts = {name: batch.column(name)[at].tobytes() for name in COLUMNS if name != "received"}
    return Located(strings=batch.strings, borders=list(range(1, len(at) + 1)), received=clock[at].tobytes(), **parts)


def replay_store(path: Path, site: Site, tally: Tally, bar: Any) -> None:
    """Fold the journal of a live site. Under its own versions of the site, if the newest of them is the one given."""
    with SqliteStore.open(path, readonly=True) as store:
        stored = store.site()
        if stored is None:
            raise InputFaultError(f"{path}: the store holds no site yet, has `nearcast run` been started on it")
        as_live = stored[0] == site.version
        if not as_live:
            sys.stderr.write(
                "the site's files differ from the version in force in the store: replaying under the files\n"
            )
        engine = None
        for seq, effects in fold_store(store, None if as_live else site):
            tally.effects(effects)
            bar.advance(1)
            engine = seq
        if engine is None:
            raise InputFaultError(f"{path}: the journal is empty, there is nothing to replay")


def fold_store(store: SqliteStore, instead: Site | None) -> Iterator[tuple[int, Effects]]:
    """Fold a store's frames from its oldest on, yielding what each step leaves behind.

    With `instead`, that site is in force all along, and the recorded edits are left out.
    """
    origin = store.origin()
    engine: Engine | None = None
    after = 0
    if origin is not None:
        version = site_version(origin.state)
        engine, after = restore(origin.state, compiled(store.site_files(version))), origin.seq
    for stored in store.frames(after):
        frame = decode_frame(stored.data)
        if engine is None:
            engine = Engine(instead if instead is not None else compiled({}), stored.now_ms)
        inputs = frame.inputs if instead is None else [i for i in frame.inputs if not isinstance(i, Edited)]
        yield stored.seq, engine.step(inputs, frame.now_ms)


def _open(stack: ExitStack, path: Path | None) -> IO[bytes] | None:
    return None if path is None else stack.enter_context(path.open("wb"))
