"""Replay: recordings through the same fold, on the recording's clock. Nothing is sent.

Owns the recording's clock and what is counted and written. Must not know the formats of recordings
(`nearcast/recording.py`). The clock is the running maximum of the pings' `received` if they have one, else of their
`time`.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from connectors.store_sqlite import SqliteStore
from engine.ports import DeliveryState
from engine.settings import SETTINGS_FILE
from engine.settings_file import read_settings
from engine.snapshot import restore, site_version
from engine.step import Engine
from engine.wire import COLUMNS, Ended, Happened, Input, Located, UserChanged
from nearcast.fault import ExitCode, InputFaultError, UsageFaultError
from nearcast.folder import read_folder
from nearcast.frames_ahead import frames_ahead
from nearcast.kernels import ready_kernels
from nearcast.map_file import MapFile
from nearcast.recording import Skipped, read_recordings, read_users
from nearcast.recover import compiled
from nearcast.replay_report import Tally, progress_bar, report, report_left_out
from nearcast.site_store import store_path
from rules.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.site import Site
    from engine.step import Effects
    from nearcast.recording import RecordedPings
    from nearcast.replay_options import ReplayOptions

    Array = np.ndarray[Any, Any]

#: Timers of devices ring at most so much of the recording's clock after they are due: a step of the fold may span that.
SPAN_MS = 1_000


def replay(site_path: Path, options: ReplayOptions) -> int:
    """Carry out `nearcast replay`: fold, write the files asked for, print the counts.

    Raises `InputFaultError`, and `UsageFaultError` for a file that cannot be written.
    """
    files = read_folder(site_path)
    ready_kernels()
    site = _site(site_path, files)
    stores = [f for f in options.files if f.suffix == ".db"]
    if options.from_store or stores:
        _refuse_unused(options)
    # of the variables in its path, only who reads it must have them set
    live = store_path(site_path, site.settings) if options.from_store else site_path / site.settings.store
    store = stores[0] if stores else live
    read = [*options.files, *filter(None, [options.users]), store]
    with ExitStack() as stack:
        tally = Tally(
            decisions=_open(stack, "--decisions", options.decisions, read),
            transitions=_open(stack, "--transitions", options.transitions, [*read, *filter(None, [options.decisions])]),
        )
        try:
            if options.from_store or stores:
                with progress_bar(options, "frames") as bar:
                    replay_store(store, site, tally, bar, assume_consent=options.assume_consent)
            else:
                with progress_bar(options, "pings") as bar:
                    replay_files(site, options, tally, bar)
        finally:  # also of a recording that turns out to be of no use: its lines say why
            report_left_out(tally, options)
    report(tally, options, sys.stdout, acting=bool(site.rules.running))
    return ExitCode.GOOD


def _refuse_unused(options: ReplayOptions) -> None:
    """Of what is for recordings, a store, which has all of it, takes nothing. Raises `UsageFaultError`."""
    if len(options.files) > 1:
        raise UsageFaultError("a store is replayed alone, give one `.db` or recordings")
    given = (("--users", options.users is not None), ("--device", options.device is not None), ("--sort", options.sort))
    for option, is_given in given:
        if is_given:
            raise UsageFaultError(f"`{option}` is for recordings, a store has users, devices and order of its own")


def _site(path: Path, files: dict[str, bytes]) -> Site:
    """The site, with the map beside its store where it is run: whoever tries rule after rule waits for it once."""
    store = path / read_settings(files.get(SETTINGS_FILE, b""))[0].store
    map_file = MapFile(store, warn=_warn)
    site = compiled(files, map_file.read())
    if store.parent.is_dir() and os.access(store.parent, os.W_OK):
        map_file.keep(site.map)
    return site


def _warn(line: str) -> None:
    sys.stderr.write(f"warning: {line}\n")


def replay_files(site: Site, options: ReplayOptions, tally: Tally, bar: Any) -> None:
    """Fold recorded files, in the order given."""
    folding = Folding(site, tally, assume_consent=options.assume_consent)
    if options.users is not None:
        for item in read_users(options.users):
            if isinstance(item, UserChanged):
                folding.users.append(item)
            elif isinstance(item, Skipped):
                tally.skip(item)
            else:
                raise InputFaultError(f"{options.users}: holds more than users, give it as a FILE instead")
    for item in read_recordings(options.files, device=options.device, sort=options.sort):
        if isinstance(item, Skipped):
            tally.skip(item)
        elif isinstance(item, Happened | UserChanged):
            folding.other(item)
        else:
            folding.pings(item)
            bar.advance(item.located.borders[-1])
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
    _prompt: bool = True
    _shortest_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self._shortest_ms = _shortest_ms(self.site)

    def pings(self, recorded: RecordedPings) -> None:
        """Fold pings and sightings: each row is a request of its own, received as the clock stood at it."""
        located = recorded.located
        times, said = located.column("time"), located.column("received").copy()
        if self.clock_ms is not None:
            said[0] = max(int(said[0]), self.clock_ms)
        clock = np.maximum.accumulate(said)
        self._start(int(clock[0]))
        self.clock_ms = int(clock[-1])
        self._prompt = self._prompt and bool((times == clock).all())
        keep = self._judge_times(recorded, clock)
        if not keep.all():
            located, clock = _taken(located, keep), clock[keep]
        start = 0
        while start < clock.size:
            first_ms = int(clock[start])
            self._ring(first_ms)
            stop = int(np.searchsorted(clock, self._until_ms(first_ms), side="left"))
            self._step([_requests(located, clock, start, stop)], first_ms)
            start = stop

    def _until_ms(self, first_ms: int) -> int:
        """Until when a step may go on that begins at `first_ms`: no timer rings later than `SPAN_MS` after it is due.

        A rule's timer concerns whoever is there at its instant: no step goes beyond that. While all rows are as old as
        the clock, none of their timers is due sooner than the shortest time that the site has one run for; so a step
        may span more where pings are few.
        """
        assert self.engine is not None
        instant_ms, due_ms = self.engine.timers.next_due_ms(), self.engine.next_due_ms()
        until_ms = first_ms + SPAN_MS
        if self._prompt:
            last_ms = first_ms + self._shortest_ms
            until_ms = SPAN_MS + (last_ms if due_ms is None else max(min(due_ms, last_ms), first_ms))
        return until_ms if instant_ms is None else min(until_ms, instant_ms)

    def other(self, item: Happened | UserChanged) -> None:
        """Fold an event or a change of a user; an event's time moves no clock."""
        if self.engine is None:
            if isinstance(item, UserChanged):
                self.users.append(item)
                return
            self._start(item.time_ms)
        assert self.clock_ms is not None
        if isinstance(item, Happened) and item.time_ms > self.clock_ms + self.site.settings.ping.max_ahead_ms:
            self.tally.events_ahead += 1
        self._step([item], self.clock_ms)

    def end(self) -> None:
        """At the recording's end the timers due by then fire; later ones do not."""
        if self.engine is not None and self.clock_ms is not None:
            self._ring(self.clock_ms)
            self._step([], self.clock_ms)

    def _ring(self, now_ms: int) -> None:
        """Have timers ring at their own instants, as live; the step at `now_ms` sees to the last ones of devices."""
        assert self.engine is not None
        while (due_ms := self.engine.next_due_ms()) is not None:
            instant_ms = self.engine.timers.next_due_ms()
            if due_ms >= now_ms - SPAN_MS and (instant_ms is None or instant_ms > now_ms):
                break
            self._step([], due_ms)

    def _start(self, clock_ms: int) -> None:
        if self.engine is not None:
            return
        self.clock_ms = clock_ms
        self.engine = Engine(self.site, clock_ms)
        if self.assume_consent:
            self.engine.people.assume(self.site.rules.purposes)
        if self.users:
            self._step(list(self.users), clock_ms)

    def _judge_times(self, recorded: RecordedPings, clock: Array) -> Array:
        """Which rows to keep. Of those that are refused for their time the first is named."""
        limits, times = self.site.settings.ping, recorded.located.column("time")
        old = times < clock - limits.max_age_ms
        ahead = times > clock + limits.max_ahead_ms
        if old.any():
            first = int(old.argmax())
            detail = f"`time` is more than {format_duration(limits.max_age_ms)} behind the recording's clock"
            out_of_order = times[first] == recorded.located.column("received")[first]
            mend = ", `--sort` works everything in order of time" if recorded.lines and out_of_order else ""
            self.tally.reject(_refused(recorded, first, "too_old", detail + mend), int(old.sum()))
        if ahead.any():
            detail = f"`time` is more than {format_duration(limits.max_ahead_ms)} ahead of the recording's clock"
            mend = ", is the device's clock right?"
            refused = _refused(recorded, int(ahead.argmax()), "in_future", detail + mend)
            self.tally.reject(refused, int(ahead.sum()))
        keep: Array = ~(old | ahead)
        return keep

    def _step(self, inputs: Sequence[Input], now_ms: int) -> None:
        """One step. What was to be sent counts as delivered in the next one, as a good channel would answer."""
        assert self.engine is not None
        effects = self.engine.step([*self._ended, *inputs], max(now_ms, self.engine.now_ms))
        self._ended = [Ended(d.key, d.decision, d.user, DeliveryState.DELIVERED.value) for d in effects.deliveries]
        self.tally.effects(effects)


def _refused(recorded: RecordedPings, row: int, reason: str, detail: str) -> Skipped:
    return Skipped(recorded.file, recorded.lines[row] if recorded.lines else 0, reason, detail)


def _taken(located: Located, keep: Array) -> Located:
    """The rows to keep."""
    parts: dict[str, Any] = {name: located.column(name)[keep].tobytes() for name in COLUMNS}
    return Located(strings=located.strings, borders=[int(keep.sum())], **parts)


def _requests(located: Located, clock: Array, start: int, stop: int) -> Located:
    """The rows from `start` to before `stop`, each a request of its own, with the clock as the time received."""
    borders = list(range(1, stop - start + 1))
    return replace(located.part(start, stop), borders=borders, received=clock[start:stop].tobytes())


def _shortest_ms(site: Site) -> int:
    """The shortest time after which a timer may be due that a ping or a sighting starts."""
    detections = (site.settings.detection, *(fence.detection for fence in site.fences))
    times = [t for d in detections for t in (d.exit_after_ms, d.silence_ms)]
    times += [zone.exit_after_ms for zone in site.zones]
    times += [trigger.dwell_ms for rule in site.rules.rules for trigger in rule.triggers if trigger.dwell_ms]
    return min(times)


def replay_store(path: Path, site: Site, tally: Tally, bar: Any, *, assume_consent: bool = False) -> None:
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
        empty = True
        assumed = site.rules.purposes if assume_consent else frozenset[str]()
        for count, effects in fold_store(store, site, as_live=as_live, assumed=assumed):
            tally.effects(effects)
            bar.advance(count)
            empty = False
        if empty:
            raise InputFaultError(f"{path}: the journal is empty, there is nothing to replay")


def fold_store(
    store: SqliteStore, site: Site, *, as_live: bool, assumed: frozenset[str]
) -> Iterator[tuple[int, Effects]]:
    """Fold a store's frames from its oldest on, yielding how many were stepped through, and what that leaves behind.

    Unless `as_live`, the site is in force all along, and the recorded edits are left out. Missing consent to what is
    `assumed` is taken as given.
    """
    origin = store.origin()
    if origin is not None:
        version = site_version(origin.state)
        then = compiled(store.site_files(version), site.map, was_in_force=True)
        engine, after = restore(origin.state, then), origin.seq
    else:
        first = next(iter(store.frames()), None)
        if first is None:
            return
        engine, after = Engine(compiled({}) if as_live else site, first.now_ms), 0
    engine.people.assume(assumed)
    engine.prepare(site)  # where it comes into force it need not be compiled again
    for frames in frames_ahead(store, after, edits=as_live):
        yield frames.count, frames.fold(engine)


def _open(stack: ExitStack, option: str, path: Path | None, others: Sequence[Path]) -> IO[bytes] | None:
    """A file to write, which is none of the others: those are read, or written too."""
    if path is None:
        return None
    if path.is_file() and any(other.exists() and path.samefile(other) for other in others):
        raise UsageFaultError(f"`{option}` would write over `{path}`, which is in use here, choose another file")
    try:
        return stack.enter_context(path.open("wb"))
    except OSError as error:
        raise UsageFaultError(f"`{option}` needs a file to write, got `{path}`: {error.strerror or error}") from error
