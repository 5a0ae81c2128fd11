"""The decision: one rule, one user, one occasion, one reason.

Owns the order of the reasons and the key. Must not know where facts come from or what becomes of a decision.
A rule that cannot be judged suppresses. Nothing that comes from
outside makes it raise. Instants are epoch milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rules.audience import View, attribute, judge, same, withdrawn
from rules.facts import Decision, Kind, Message, Outcome, Reason
from rules.ids import decision_key
from rules.limits import hit
from rules.model import TRANSITIONS
from rules.texts import Text, Values
from rules.windows import zone_for
from rules.zones import clock_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.facts import Occasion, User
    from rules.model import Rule, Trigger
    from rules.place import Place
    from rules.ruleset import RuleSet

_Refusal = tuple[Reason, str, dict[str, Any]]


def matches(trigger: Trigger, occasion: Occasion) -> bool:
    """True if an occasion is one of a trigger's; if not, there is no decision at all."""
    if trigger.kind is not occasion.kind:
        return False
    if trigger.kind in TRANSITIONS:
        if occasion.place is None or not trigger.meets(occasion.place):
            return False
        return trigger.kind is not Kind.DWELLED or trigger.dwell_ms == occasion.dwell_ms
    if trigger.kind is Kind.TIMER:
        return trigger.index == occasion.timer_index
    return trigger.event_type == occasion.event_type and all(
        _holds(occasion, path, values) for path, values in trigger.where
    )


def _holds(occasion: Occasion, path: str, values: tuple[Any, ...]) -> bool:
    found = occasion.event_id if path == "id" else attribute(occasion.data, path.removeprefix("data."))
    elements = found if isinstance(found, list) else (found,)
    return any(same(element, value) for element in elements for value in values)


def decide(
    rule: Rule,
    trigger: Trigger,
    occasion: Occasion,
    user: User,
    now_ms: int,
    ruleset: RuleSet,
    places: Mapping[str, Place],
) -> Decision:
    """Decide whether a rule messages a user on an occasion that matches its trigger.

    Windows are judged at the occasion's time, quiet hours and limits at `now_ms`. The reason is the first that applies
    of those of `Reason`, in their order. `places` are all places by id, for conditions on the user's presence.
    """
    view = View(user, now_ms, occasion.place, places)
    refusal = _refuse(rule, occasion, user, now_ms, ruleset, view)
    key = decision_key(rule.id, user.id, occasion.id)
    if refusal is not None:
        reason, clause, values = refusal
        return Decision(
            key, rule.id, rule.version, user.id, occasion, Outcome.SUPPRESS, reason, now_ms, clause, values,
            test=rule.test,
        )  # fmt: skip
    return Decision(
        key, rule.id, rule.version, user.id, occasion, Outcome.SEND, Reason.SENT, now_ms, None, view.values,
        messages_of(rule, occasion, user, ruleset), rule.test,
    )  # fmt: skip


def _refuse(rule: Rule, occasion: Occasion, user: User, now_ms: int, ruleset: RuleSet, view: View) -> _Refusal | None:
    """The first reason not to send: its clause, and what was seen."""
    refusal = _by_occasion(rule, occasion, user, now_ms, ruleset)
    if refusal is not None:
        return refusal
    if rule.audience is not None:
        verdict = judge(rule.audience, view)
        if verdict.reason is not None:
            return verdict.reason, verdict.clause or "audience", view.values
    reached = hit(
        rule.limits,
        rule=rule.id,
        kind=occasion.kind,
        user=user,
        place=occasion.place,
        now_ms=now_ms,
        test=rule.test,
        default_zone=ruleset.timezone,
    )
    if reached is not None:
        return reached.reason, reached.clause, reached.values
    if rule.quiet_hours is not None:
        zone = zone_for(rule.quiet_hours.timezone, occasion.place, user, ruleset.timezone)
        if rule.quiet_hours.is_quiet(now_ms, zone):
            return Reason.QUIET_HOURS, "quiet_hours", {"time": clock_text(now_ms, zone), "timezone": zone.key}
    if rule.test and user.id not in ruleset.test_users:
        return Reason.NOT_TEST_USER, "state", {"state": rule.state}
    return None


def _by_occasion(rule: Rule, occasion: Occasion, user: User, now_ms: int, ruleset: RuleSet) -> _Refusal | None:
    """The reasons that lie in the occasion itself: too old, too inexact, mocked, outside of the windows."""
    age_ms = now_ms - occasion.time_ms
    if age_ms > rule.max_event_age_ms:
        return Reason.STALE, "max_event_age", {"age_ms": age_ms, "max_event_age_ms": rule.max_event_age_ms}
    if rule.max_accuracy_m is not None:
        # Unknown, and NaN, is not known to be good enough.
        accuracy_m = occasion.accuracy_m
        if accuracy_m is None or not accuracy_m <= rule.max_accuracy_m:
            seen = {"accuracy_m": accuracy_m, "max_accuracy_m": rule.max_accuracy_m}
            return Reason.LOW_ACCURACY, "max_accuracy", seen
    if occasion.mocked and rule.mocked == "suppress":
        return Reason.MOCKED, "mocked", {"mocked": True}
    schedule, active = rule.schedule, rule.active
    if schedule.always and active is None:
        return None
    zone = zone_for(schedule.timezone, occasion.place, user, ruleset.timezone)
    if active is not None and not active.covers(occasion.time_ms, zone):
        clause = "active"
    elif not schedule.is_open(occasion.time_ms, zone):
        clause = "schedule"
    else:
        return None
    return Reason.WINDOW, clause, {"time": clock_text(occasion.time_ms, zone), "timezone": zone.key}


def messages_of(rule: Rule, occasion: Occasion, user: User, ruleset: RuleSet) -> tuple[Message, ...]:
    """The messages of a rule for a user on an occasion: one for each action, rendered in the user's language."""
    zone = zone_for(rule.schedule.timezone, occasion.place, user, ruleset.timezone)
    values = Values(occasion, user, rule.id, zone)
    messages = []
    for index, action in enumerate(rule.actions):
        template = action.own if action.own is not None else ruleset.templates[action.template or ""]
        locale = template.choose(user.locale)
        words = template.words[locale]
        messages.append(
            Message(
                index,
                action.channel,
                words.title.render(values),
                words.body.render(values),
                locale,
                action.ttl_ms,
                action.collapse_key.render(values) if action.collapse_key is not None else None,
                {key: v.render(values) if isinstance(v, Text) else v for key, v in action.data.items()},
                (action.delivery or rule.delivery) == "at_most_once",
            )
        )
    return tuple(messages)


def recheck(
    rule: Rule, user: User, now_ms: int, *, place: Place | None, ruleset: RuleSet
) -> Literal["ok", "quiet_hours", "withdrawn"]:
    """Whether a message that was decided may still be attempted now: consent and quiet hours, once more.

    `place` is the occasion's, as it is in force now, for the quiet hours' zone.
    """
    if rule.audience is not None and withdrawn(rule.audience, user):
        return "withdrawn"
    if rule.quiet_hours is not None:
        zone = zone_for(rule.quiet_hours.timezone, place, user, ruleset.timezone)
        if rule.quiet_hours.is_quiet(now_ms, zone):
            return "quiet_hours"
    return "ok"
