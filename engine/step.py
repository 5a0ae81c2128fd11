"""The fold, in one screen: state', effects = step(state, inputs, now).

Synchronous, deterministic, without I/O. Two stages: sensing (pings to transitions, timers) and judging (occasions to
decisions and deliveries), with the people between them. Owns their order. Must not know where inputs come from or where
effects go. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.counted import Counted, counted
from engine.edit import edit
from engine.judge import Judge, Judged
from engine.layout import FAR
from engine.people import People
from engine.sense import Sense
from engine.site import read_site
from engine.timers import Rang, Timers
from engine.told import Telling, Transitions
from engine.view import view_of
from engine.whereabouts import Whereabouts
from engine.wire import Edited, Ended, Erased, Happened, Input, Located, Resent, UserChanged
from geo.mistake import MistakesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.batch import Rows
    from engine.joined import Joined
    from engine.layout import Array
    from engine.ports import Delivery, Ending
    from engine.site import Site
    from rules.facts import Decision


@dataclass(frozen=True, slots=True)
class NewSite:
    """From here on another version of the site is in force; `told` is what the edit did to those present."""

    site: Site
    edited: Edited
    told: tuple[Telling, ...]


#: What the first stage hands to the second.
Happening = Telling | Rang | NewSite | Happened | UserChanged | Ended | Resent | Erased


@dataclass(slots=True)
class Effects:
    """What one step leaves behind. `counted` has one entry for each `Located` input.

    `fresh` has one for each event, changes of users that came as events among them; False: it was there before.
    `erased` maps each erased user to their devices. `requests[i]` is the request, counted over all `Located` inputs,
    that caused `decisions[i]`; -1: none.
    """

    transitions: Transitions = field(default_factory=Transitions)
    decisions: list[Decision] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    resent: list[tuple[str, int]] = field(default_factory=list)
    erased: dict[str, list[str]] = field(default_factory=dict)
    edited: Edited | None = None


@dataclass(slots=True)
class Sensed:
    """What the first stage found at one step. Whoever judges it has only to know the people that it concerns.

    `counted` and `erased` are those of `Effects`.
    """

    now_ms: int
    happenings: list[Happening] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    erased: dict[str, list[str]] = field(default_factory=dict)


class Engine:
    """The state, and the one way in which it changes."""

    def __init__(self, site: Site, now_ms: int) -> None:
        self.site = site
        self.now_ms = now_ms
        self.sense = Sense(view_of(site))
        self.whereabouts = Whereabouts(self.sense.devices)
        self.people = People(keep_ms=site.settings.keep.events_ms, whereabouts=self.whereabouts)
        self.timers = Timers(site)
        self.timers.start(now_ms)
        self._judge = Judge(site, self.people)
        self._prepared: Site | None = None

    def prepare(self, site: Site) -> None:
        """Hold a compiled version of the site ready, so that the edit to it need not compile it within the step."""
        self._prepared = site

    def step(self, inputs: Sequence[Input], now_ms: int) -> Effects:
        """Fire what is due by `now_ms`, then work the inputs in order."""
        sensed = Sensed(now_ms)
        work = _Judging(sensed, self._judge)
        before_ms, self.now_ms = self.now_ms, now_ms
        self.people.forget_old(before_ms, now_ms)
        # one after the other: an erasure makes the numbers free that what was told before is told by
        for happening in self._fire(now_ms):
            work.decide(happening)
        for item in inputs:
            for happening in self._sense(item, now_ms, sensed):
                work.decide(happening)
        return work.effects()

    def steps(self, frames: Joined) -> Effects:
        """Step through frames that were joined. What they leave behind is what each leaves by itself, in order.

        But that `counted` has one entry, and requests are counted over all frames.
        """
        before_ms = self.now_ms
        sensed, rows = Sensed(int(frames.instants[0])), self.sense.joined(frames)
        work = _Judging(sensed, self._judge)
        for frame in self._through(frames, rows):
            work.now_ms = int(rows.instants[frame])
            for happening in self._fire(work.now_ms):
                work.decide(happening)
        for telling in self.sense.tellings():
            work.decide(telling)
        sensed.counted.append(counted(rows))
        self.people.forget_old(before_ms, self.now_ms)
        return work.effects()

    def _through(self, frames: Joined, rows: Rows) -> Iterator[int]:
        """Work the rows of frames that were joined. Yields each that may have timers to fire first, for that."""
        at = 0, 0
        while at[1] < rows.ends.size:
            row, frame = at
            if row == (rows.ends[frame - 1] if frame > 0 else 0):  # it begins
                self.now_ms = int(rows.instants[frame])
                yield frame
            instant_ms = self.timers.next_due_ms()
            at = self.sense.work(frames.located, rows, at, FAR if instant_ms is None else instant_ms, 0)
        self.now_ms = int(rows.instants[-1])

    def sensed(self, inputs: Sequence[Input], now_ms: int) -> Sensed:
        """The first stage alone: what happened. It needs no people, and changes none."""
        found = Sensed(now_ms)
        self.now_ms = now_ms
        found.happenings = self._fire(now_ms)
        for item in inputs:
            found.happenings += self._sense(item, now_ms, found)
        return found

    def sensed_each(self, frames: Joined) -> list[Sensed]:
        """The first stage alone of frames that were joined: what happened at each, as `sensed` finds it one by one.

        But that requests are counted over all frames, and what became of them stands in the last.
        """
        found = [Sensed(now_ms) for now_ms in frames.instants.tolist()]
        rows = self.sense.joined(frames)
        for frame in self._through(frames, rows):
            self._told_each(frames.requests, found)  # timers tell by no request
            found[frame].happenings += self._fire(self.now_ms)
        self._told_each(frames.requests, found)
        found[-1].counted.append(counted(rows))
        return found

    def _told_each(self, requests: Array, found: Sequence[Sensed]) -> None:
        for frame, tellings in self.sense.tellings_each(requests):
            found[frame].happenings += tellings

    def next_due_ms(self) -> int | None:
        """When the next timer may be due, by the machine's clock; None when none runs."""
        due = [d for d in (self.sense.next_due_ms(), self.timers.next_due_ms()) if d is not None]
        return min(due, default=None)

    # -- the first stage -------------------------------------------------------------------------------------------

    def _fire(self, now_ms: int) -> list[Happening]:
        """The timers due by `now_ms`: those of devices up to each instant of a rule's timer, then that instant."""
        happenings: list[Happening] = []
        while True:
            instant_ms = self.timers.next_due_ms()
            if instant_ms is None or instant_ms > now_ms:
                break
            happenings += self.sense.fire(instant_ms, now_ms)
            rang = self.timers.ring(self.sense, now_ms)
            if rang is not None:
                happenings += self.sense.tellings()
                happenings.append(rang)
        happenings += self.sense.fire(now_ms, now_ms)
        return happenings

    def _sense(self, item: Input, now_ms: int, found: Sensed) -> Sequence[Happening]:
        match item:
            case Located():
                first = sum(len(c.accepted) for c in found.counted)
                told, became = self.sense.located(item, now_ms, first)
                found.counted.append(became)
                return told
            case Edited():
                site = self._compiled(item)
                told = edit(self.sense, self.site, site, now_ms)
                self.site = self.timers.site = site
                self.timers.start(now_ms)
                return (NewSite(site, item, tuple(told)),)
            case Erased():
                found.erased[item.user] = self.whereabouts.forget(item.user, self.sense.forget)
                return (item,)
            case Happened() | UserChanged() | Ended() | Resent():
                return (item,)

    def _compiled(self, edited: Edited) -> Site:
        if self._prepared is not None and self._prepared.version == edited.version:
            return self._prepared
        site, mistakes = read_site(edited.files, previous=self.site.map, was_in_force=True)
        if site is None:
            raise MistakesError(mistakes)
        return site


def judge(sensed: Sensed, by: Judge) -> Effects:
    """The second stage: decide all that happened, in order. `by` has the people and the site in force before."""
    work = _Judging(sensed, by)
    for happening in sensed.happenings:
        work.decide(happening)
    return work.effects()


class _Judging:
    """The second stage of one step, happening by happening."""

    def __init__(self, sensed: Sensed, by: Judge) -> None:
        self.now_ms, self._by = sensed.now_ms, by
        self._judged, self._transitions = Judged(), Transitions()
        self._effects = Effects(self._transitions, counted=sensed.counted, erased=sensed.erased)

    def effects(self) -> Effects:
        """What the step leaves behind."""
        effects, judged = self._effects, self._judged
        effects.decisions, effects.requests = judged.decisions, judged.requests
        effects.deliveries, effects.endings = judged.deliveries, judged.endings
        return effects

    def decide(self, happening: Happening) -> None:
        """Decide what happened next."""
        by, people, now_ms, effects = self._by, self._by.people, self.now_ms, self._effects
        match happening:
            case Telling():
                self._transitions.add(happening)
                by.told(happening, self._judged)
            case Rang():
                by.rang(happening, now_ms, self._judged)
            case NewSite():
                by.under(happening.site)
                people.keep_ms = happening.site.settings.keep.events_ms
                effects.edited = happening.edited
                by.cancel_stopped(now_ms, self._judged)
                for telling in happening.told:
                    self.decide(telling)
            case Happened():
                effects.fresh.append(by.happened(happening, now_ms, self._judged))
            case UserChanged():
                is_new = people.change(happening)
                if happening.id:
                    effects.fresh.append(is_new)
            case Ended():
                by.ended(happening, now_ms, self._judged)
            case Resent():
                if by.runs(happening.rule) and people.has_known(happening.user):
                    people.resent(happening, now_ms)
                    effects.resent.append((happening.key, now_ms + happening.ttl_ms))
            case Erased():
                by.erase(happening.user, now_ms, self._judged)
