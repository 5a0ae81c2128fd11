"""A rule's own `tests`: what is given, made into facts and decided as in earnest.

Owns how a test's words become an occasion and a user. Must not know YAML. The clock is the test's own.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from msgspec.structs import replace

from geo.mistake import Mistake
from rules.decide import decide, matches
from rules.facts import Decision, Kind, Occasion, Send, User
from rules.lang_tests import NONE, TEST_USER
from rules.view import View
from rules.windows import next_instant, resolve
from rules.zones import clock_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from rules.model import Before, Case, Rule, Sent, Trigger
    from rules.place import Place
    from rules.ruleset import RuleSet


_DEVICE = "test-device"
_NOT_TAKEN = "no trigger of the rule takes it"


def run_tests(ruleset: RuleSet) -> list[Mistake]:
    """Run every rule's own tests. Each that fails is a mistake at its place, with what came instead.

    Of one that gives as before what was after, that is the mistake.
    A test of a `draft` or `paused` rule is judged as if it were `live`; a test that names no user has a test user.
    """
    places = {place.id: place for place in ruleset.places}
    with_tester = dataclasses.replace(ruleset, test_users=ruleset.test_users | {TEST_USER})
    mistakes = [
        mistake
        for rule in ruleset.rules
        for case in rule.tests
        if (mistake := _run(rule, case, with_tester if case.user == TEST_USER else ruleset, places)) is not None
    ]
    return sorted(mistakes)


def _run(rule: Rule, case: Case, ruleset: RuleSet, places: Mapping[str, Place]) -> Mistake | None:
    trial = _Trial(rule if rule.acts else dataclasses.replace(rule, state="live"), case, ruleset, places)
    slip = trial.slip()
    if slip is not None:
        return slip
    decision, why = trial.decision()
    came = NONE if decision is None else decision.reason.value
    if came == case.then:
        return None
    if decision is not None and decision.clause is not None:
        seen = ", ".join(f"{name} {value}" for name, value in decision.values.items())
        why = f"because of `{decision.clause}`" + (f" ({seen})" if seen else "")
    return Mistake(rule.file, case.line, case.column, f"the test of `{rule.id}` wants `{case.then}`", came, why)


@dataclasses.dataclass(slots=True)
class _Trial:
    """One test under way. Its local times are told in `zone`; it happens at `at_ms` and is decided at `now_ms`."""

    rule: Rule
    case: Case
    ruleset: RuleSet
    places: Mapping[str, Place]
    zone: ZoneInfo = dataclasses.field(init=False)
    at_ms: int = dataclasses.field(init=False)
    now_ms: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        here = self.case.place or (self.case.inside[-1] if self.case.inside else None)
        self.zone = self.ruleset.timezone if here is None else self.ruleset.zone_of(self.places[here])
        self.at_ms = resolve(self.case.at, self.zone)
        self.now_ms = self.at_ms + self.case.late_ms

    def slip(self) -> Mistake | None:
        """The first of what is given as before that was not yet when the rule decided: the test would prove nothing."""
        case = self.case
        given = [("events", at) for _, at in case.events] + [("visits", at) for _, at in case.visits]
        for key, before in [*given, *(("sent_before", sent.at) for sent in case.sent)]:
            time_ms = self._instant(before)
            if time_ms > self.now_ms:
                what = f"`{key}` in a test of `{self.rule.id}` is after `at`" + (" and `late`" if case.late_ms else "")
                came, mend = clock_text(time_ms, self.zone), "give an earlier time, for it tells what was before"
                return Mistake(self.rule.file, before.line, before.column, what, came, mend)
        return None

    def decision(self) -> tuple[Decision | None, str]:
        """What the rule decides, or None and why no trigger takes what happens."""
        occasion, why = self._rung() if self.case.kind is Kind.TIMER else self._taken()
        if occasion is None:
            return None, why
        view = View(occasion, self._user(occasion), self.now_ms, self.ruleset, self.places)
        return decide(self.rule, view), ""

    def _taken(self) -> tuple[Occasion | None, str]:
        """What happens, with how long a stay lasted by the trigger that takes it, where the test does not say."""
        place = None if self.case.place is None else self.places[self.case.place]
        occasion = self._occasion(place)
        for trigger in self.rule.triggers:
            told = occasion if occasion.dwell_ms is not None else replace(occasion, dwell_ms=trigger.dwell_ms)
            if matches(trigger, told):
                return told, ""
        return None, _NOT_TAKEN

    def _rung(self) -> tuple[Occasion | None, str]:
        """The instant of all timers that ring then: one occasion, at the place entered last of those they look at."""
        stays = self._stays(None)
        inside = [self.places[name] for name in sorted(stays, key=lambda name: (stays[name], name))]
        found: list[Place | None] = []
        why = _NOT_TAKEN
        for trigger in self.rule.triggers:
            if trigger.kind is Kind.TIMER:
                places, why = _found_by(trigger, self.at_ms, inside, self.ruleset)
                found += places
        if not found:
            return None, why
        if self.case.late_ms > self.rule.max_event_age_ms:
            return None, "a timer that is later than `max_event_age` does not ring any more"
        return self._occasion(next((place for place in reversed(inside) if place in found), None)), ""

    def _occasion(self, place: Place | None) -> Occasion:
        case = self.case
        return Occasion(
            case.kind, "test", self.at_ms, case.user, None if place is None else _DEVICE, place, "fix", case.dwell_ms,
            case.accuracy_m, case.mocked, case.event_type, case.event_id, case.data, self.rule.id,
        )  # fmt: skip

    def _stays(self, dwell_ms: int | None) -> dict[str, int]:
        """When each stay began: those that are given `inside`, and the one that is told of.

        One that ends began just before, for nothing says when. Who is in a zone is in the fence that it lies in.
        """
        case = self.case
        stays = {name: self.at_ms - len(case.inside) + i for i, name in enumerate(case.inside)}
        if case.place is not None and case.kind is not Kind.CROSSED:
            stays[case.place] = self.at_ms - (dwell_ms or 0)
        for name, entered_ms in list(stays.items()):
            fence = self.places[name].inside
            if fence is not None:
                stays.setdefault(fence, entered_ms)
        return stays

    def _user(self, occasion: Occasion) -> User:
        """The user of a test. Each stay is a visit from when it began, as in earnest."""
        case = self.case
        stays = self._stays(occasion.dwell_ms)
        visits = [(self._instant(at), place) for place, at in case.visits]
        visits += [(entered_ms, place) for place, entered_ms in stays.items()]
        events = [(self._instant(at), kind) for kind, at in case.events]
        if case.event_type is not None:
            events.append((self.at_ms, case.event_type))
        if case.place is not None and case.kind is Kind.EXITED:
            del stays[case.place]
        sends = [self._send(i, sent, occasion.place) for i, sent in enumerate(case.sent)]
        return User(
            case.user,
            True,
            dict(case.attributes),
            dict.fromkeys(case.consent, True),
            case.locale,
            case.timezone,
            {},
            sorted(events),
            sorted(visits),
            sorted(sends, key=lambda send: send.time_ms),
            {place: [1, entered_ms] for place, entered_ms in stays.items()},
        )

    def _send(self, number: int, sent: Sent, here: Place | None) -> Send:
        """A message sent before: it counts as its sender's, by default under its tags, among tests if that is one."""
        sender = self.rule if sent.rule is None else self.ruleset.rule(sent.rule) or self.rule
        tags = sender.tags if sent.tags is None else sent.tags
        place = sent.place or (None if here is None else here.id)
        return Send(f"sent-{number}", sender.id, tags, place, self._instant(sent.at), sender.test)

    def _instant(self, before: Before) -> int:
        return resolve(before.at, self.zone)


def _found_by(
    trigger: Trigger, time_ms: int, inside: Sequence[Place], ruleset: RuleSet
) -> tuple[list[Place | None], str]:
    """Where a timer finds the user at an instant (None: it looks nowhere), and why not elsewhere."""
    places: Sequence[Place | None] = [None]
    if trigger.inside is not None:
        places = [place for place in inside if trigger.inside.covers(place)]
    found: list[Place | None] = []
    own_zone = ruleset.timer_zones(trigger)[0]
    why = f"the timer is for users in {trigger.inside}, add `inside:` to the test"
    for place in places:
        zone = ruleset.zone_of(place) if place is not None and trigger.timezone is None else own_zone
        due_ms = next_instant(trigger.days, trigger.at_ms, time_ms - 1, zone)
        if due_ms == time_ms:
            found.append(place)
        else:
            why = f"the timer is not due then, but at {clock_text(due_ms, zone)}"
    return found, why
