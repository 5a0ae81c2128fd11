"""The fold, in one screen: state', effects = step(state, inputs, now).

Synchronous, deterministic, without I/O. Two stages: sensing (pings to transitions, timers) and judging (occasions to
decisions and deliveries), with the people between them. Owns their order. Must not know where inputs come from or where
effects go. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.edit import edit
from engine.judge import Judge, Judged
from engine.people import People
from engine.sense import Counted, Moved, Sense, Transition
from engine.site import read_site
from engine.timers import Rang, Timers
from engine.view import view_of
from engine.wire import Edited, Ended, Erased, Happened, Input, Located, Resent, UserChanged
from geo.mistake import MistakesError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ports import Delivery, Ending
    from engine.site import Site
    from rules.facts import Decision


@dataclass(frozen=True, slots=True)
class Told:
    """Transitions, and devices that changed hands, in the order in which they are judged."""

    items: list[Transition | Moved]


@dataclass(frozen=True, slots=True)
class NewSite:
    """From here on another version of the site is in force; `items` is what the edit did to those present."""

    site: Site
    edited: Edited
    items: list[Transition | Moved]


#: What the first stage hands to the second.
Happening = Told | Rang | NewSite | Happened | UserChanged | Ended | Resent | Erased


@dataclass(slots=True)
class Effects:
    """What one step leaves behind. `counted` has one entry for each `Located` input, `fresh` one for each event.

    `erased` maps each erased user to their devices. `requests[i]` is the request, counted over all `Located` inputs,
    that caused `decisions[i]`; -1: none.
    """

    transitions: list[Transition] = field(default_factory=list)
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
        self.people = People(keep_ms=site.settings.keep.events_ms)
        self.timers = Timers(site)
        self.timers.start(now_ms)
        self._judge = Judge(site, self.people)
        self._prepared: Site | None = None

    def prepare(self, site: Site) -> None:
        """Hold a compiled version of the site ready, so that the edit to it need not compile it within the step."""
        self._prepared = site

    def step(self, inputs: Sequence[Input], now_ms: int) -> Effects:
        """Fire what is due by `now_ms`, then work the inputs in order."""
        return judge(self.sensed(inputs, now_ms), self._judge)

    def sensed(self, inputs: Sequence[Input], now_ms: int) -> Sensed:
        """The first stage alone: what happened. It needs no people, and changes none."""
        found = Sensed(now_ms)
        self.now_ms = now_ms
        found.happenings = self._fire(now_ms)
        found.happenings += [self._sense(item, now_ms, found) for item in inputs]
        return found

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
            happenings.append(Told(self.sense.fire(instant_ms, now_ms)))
            rang = self.timers.ring(self.sense, now_ms)
            if rang is not None:
                happenings.append(rang)
        happenings.append(Told(self.sense.fire(now_ms, now_ms)))
        return happenings

    def _sense(self, item: Input, now_ms: int, found: Sensed) -> Happening:
        match item:
            case Located():
                first = sum(len(c.accepted) for c in found.counted)
                told, counted = self.sense.located(item, now_ms, first)
                found.counted.append(counted)
                return Told(told)
            case Edited():
                site = self._compiled(item)
                told = edit(self.sense, self.site, site, now_ms)
                self.site = self.timers.site = site
                self.timers.start(now_ms)
                return NewSite(site, item, told)
            case Erased():
                found.erased[item.user] = self.sense.forget(item.user)
                return item
            case Happened() | UserChanged() | Ended() | Resent():
                return item

    def _compiled(self, edited: Edited) -> Site:
        if self._prepared is not None and self._prepared.version == edited.version:
            return self._prepared
        site, mistakes = read_site(edited.files, previous=self.site)
        if site is None:
            raise MistakesError(mistakes)
        return site


def judge(sensed: Sensed, by: Judge) -> Effects:
    """The second stage: decide all that happened, in order. `by` has the people and the site in force before."""
    effects, judged = Effects(counted=sensed.counted, erased=sensed.erased), Judged()
    for happening in sensed.happenings:
        _decide(happening, sensed.now_ms, by, judged, effects)
    effects.decisions, effects.requests = judged.decisions, judged.requests
    effects.deliveries, effects.endings = judged.deliveries, judged.endings
    return effects


def _decide(happening: Happening, now_ms: int, judge: Judge, judged: Judged, effects: Effects) -> None:
    people = judge.people
    match happening:
        case Told():
            effects.transitions += [t for t in happening.items if isinstance(t, Transition)]
            judge.told(happening.items, judged)
        case Rang():
            judge.rang(happening, now_ms, judged)
        case NewSite():
            judge.site = happening.site
            people.keep_ms = happening.site.settings.keep.events_ms
            effects.edited = happening.edited
            judge.cancel_stopped(now_ms, judged)
            _decide(Told(happening.items), now_ms, judge, judged, effects)
        case Happened():
            effects.fresh.append(judge.happened(happening, now_ms, judged))
        case UserChanged():
            people.change(happening)
        case Ended():
            judge.ended(happening, now_ms, judged)
        case Resent():
            if judge.runs(happening.rule):
                people.resent(happening, now_ms)
                effects.resent.append((happening.key, now_ms + happening.ttl_ms))
        case Erased():
            judge.erase(happening.user, now_ms, judged)
