"""The second stage of the fold: from what happened to decisions and deliveries.

Owns the walk over a step's happenings, in order, and what each leaves behind. Must not know how a rule is judged
(`rules/decide.py`) or how a transition was found (`engine/sense.py`). Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.batch import NO_REQUEST
from engine.outward import delivery_body
from engine.ports import Delivery, DeliveryState, Ending
from engine.timers import Concerned
from engine.told import KINDS
from engine.wanted import Wanted
from rules.decide import decide, matches
from rules.facts import Kind, Occasion, Outcome, Send
from rules.ids import action_key, h
from rules.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.people import People
    from engine.site import Site
    from engine.timers import Rang
    from engine.told import Telling, Transition
    from engine.wire import Ended, Happened
    from rules.facts import Decision
    from rules.model import Rule
    from rules.place import Place

_NUMBERS = {kind: number for number, kind in KINDS.items()}


@dataclass(slots=True)
class Judged:
    """What the second stage leaves behind. `requests[i]` is the request that caused `decisions[i]`."""

    decisions: list[Decision] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)


@dataclass(slots=True)
class Judge:
    """Decides what happened, under one site. `people` are the facts, and are changed as the walk goes on."""

    site: Site
    people: People
    _wanted: Wanted = field(init=False)

    def __post_init__(self) -> None:
        self._wanted = Wanted(self._kinds_at)

    def under(self, site: Site) -> None:
        """Judge under another version of the site from here on."""
        self.site, self._wanted = site, Wanted(self._kinds_at)

    def told(self, telling: Telling, judged: Judged) -> None:
        """Walk what was told in order. All that one device did at one instant holds before any of it is judged.

        Where no rule names a place nothing is to be judged: people are moved on in stretches.
        """
        done = 0
        for end, hits in telling.groups(self._wanted.of(telling)):
            self.people.follow(telling, done, end)
            done = end
            for transition in sorted(map(telling.transition, hits), key=lambda t: (t.place.id, t.kind)):
                self._transition(transition, judged)
        self.people.follow(telling, done, len(telling))

    def _kinds_at(self, place: Place) -> int:
        """The kinds of transitions at a place that have rules, as bits."""
        # An edit ends stays at places as they were: what is still there is judged as it is now.
        place = self.site.places.get(place.id, place)
        return sum(1 << _NUMBERS[kind] for kind in self.site.rules.kinds_at(place))

    def _transition(self, told: Transition, judged: Judged) -> None:
        # An edit ends stays at places as they were: what is still there is judged as it is now.
        place = self.site.places.get(told.place.id, told.place)
        candidates = self.site.rules.for_transition(place, told.kind, told.dwell_ms)
        if not candidates:
            return
        occasion = Occasion(
            told.kind, told.id, told.time_ms, told.user, told.device, place, told.cause, told.dwell_ms,
            told.accuracy_m, told.mocked,
        )  # fmt: skip
        edited = told.kind is Kind.ENTERED and told.cause == "edited"
        rules = [rule for rule in candidates if rule.initial_fire] if edited else candidates
        self._decide(rules, occasion, told.now_ms, told.request, told.now_ms, judged)

    def happened(self, event: Happened, now_ms: int, judged: Judged) -> bool:
        """Judge an event; False when it was there before."""
        if not self.people.happened(event):
            return False
        occasion = Occasion(
            Kind.EVENT, h(event.user, event.id), event.time_ms, event.user, event_type=event.type, event_id=event.id,
            data=event.data,
        )  # fmt: skip
        # a rule has one decision, however many of its triggers fit
        rules = {rule.id: rule for rule, trigger in self.site.rules.for_event(event.type) if matches(trigger, occasion)}
        self._decide(list(rules.values()), occasion, now_ms, NO_REQUEST, now_ms, judged)
        return True

    def rang(self, rang: Rang, now_ms: int, judged: Judged) -> None:
        """Judge a timer's instant, for each user it concerns: those inside, or everybody."""
        concerned = {one.user: one for one in rang.inside}
        if rang.everybody:
            concerned = {name: Concerned(name) for name in self.people.everybody()} | concerned
        for name, one in sorted(concerned.items()):
            occasion = Occasion(
                Kind.TIMER, h(name, str(rang.time_ms)), rang.time_ms, name, one.device, one.place,
                accuracy_m=one.accuracy_m, mocked=one.mocked, timer_rule=rang.rule.id, timer_index=rang.trigger.index,
            )  # fmt: skip
            self._decide([rang.rule], occasion, now_ms, NO_REQUEST, None, judged)

    def ended(self, ended: Ended, now_ms: int, judged: Judged) -> None:
        """A delivery ended: record it, and settle the limits."""
        if self.people.ended(ended):
            state = DeliveryState(ended.outcome)
            judged.endings.append(Ending(ended.key, state, now_ms, ended.attempts, ended.detail))

    def cancel_stopped(self, now_ms: int, judged: Judged) -> None:
        """Give up what is pending of rules that no longer run: removed, paused, or drafts again."""
        running = {rule.id for rule in self.site.rules.rules if rule.acts}
        for decision, entry in list(self.people.open.items()):
            if entry.rule not in running:
                self._cancelled(self.people.cancel(decision), now_ms, judged, f"rule `{entry.rule}` no longer runs")

    def runs(self, rule: str) -> bool:
        """True if the rule decides and sends under the site in force."""
        found = self.site.rules.rule(rule)
        return found is not None and found.acts

    def erase(self, user: str, now_ms: int, judged: Judged) -> None:
        """Forget a user, and give up what is pending."""
        self._cancelled(self.people.erase(user), now_ms, judged, "the user was erased")

    def _cancelled(self, keys: Sequence[str], now_ms: int, judged: Judged, detail: str) -> None:
        judged.endings += [Ending(key, DeliveryState.CANCELLED, now_ms, detail=detail) for key in keys]

    def _decide(
        self, rules: Sequence[Rule], occasion: Occasion, now_ms: int, request: int, received_ms: int | None,
        judged: Judged,
    ) -> None:  # fmt: skip
        """Decide an occasion by these rules, in order."""
        if not rules:
            return
        user = self.people.known(occasion.user)
        if any(rule.terms.looks_round for rule in rules):
            self.people.look_round(user)
        if any(rule.terms.looks_back for rule in rules):
            self.people.look_back(user)
        view = View(occasion, user, now_ms, self.site.rules, self.site.places)
        for rule in rules:
            decision = decide(rule, view)
            if decision.key in self.people.decided:
                continue  # the first outcome stands
            judged.decisions.append(decision)
            judged.requests.append(request)
            if decision.outcome is Outcome.SEND:
                self._send(rule, decision, received_ms, judged)

    def _send(self, rule: Rule, decision: Decision, received_ms: int | None, judged: Judged) -> None:
        """Reserve the limits, and make a delivery for each message."""
        place = decision.occasion.place.id if decision.occasion.place else None
        user, now_ms, tags = decision.user, decision.time_ms, tuple(sorted(rule.tags))
        made = []
        for message in decision.messages:
            key = action_key(decision.key, message.index)
            made.append(
                Delivery(
                    key, decision.key, rule.id, user, message.channel, delivery_body(key, decision, message), now_ms,
                    now_ms + message.ttl_ms, tags, place, decision.test, message.at_most_once, received_ms,
                )
            )  # fmt: skip
        self.people.reserve(
            Send(decision.key, rule.id, tags, place, now_ms, decision.test), user, [d.key for d in made]
        )
        judged.deliveries.extend(made)
