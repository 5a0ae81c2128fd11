"""The decision: one rule, one user, one occasion, one reason.

Owns the order of the reasons and the key. Must not know where facts come from or what becomes of a decision.
A rule that cannot be judged suppresses. Nothing that comes from
outside makes it raise. Instants are epoch milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from rules.audience import attribute, same, withdrawn
from rules.facts import Decision, Kind, Message, Occasion, Outcome, Reason
from rules.ids import hashed
from rules.limits import hit
from rules.model import TRANSITIONS
from rules.texts import Text, Values
from rules.view import View
from rules.zones import clock_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rules.facts import Refusal, User
    from rules.model import Action, Rule, Trigger
    from rules.place import Place
    from rules.ruleset import RuleSet

# Python looks a member up in its Enum for longer than most checks take.
_SEND: Final = Outcome.SEND
_SUPPRESS: Final = Outcome.SUPPRESS
_SENT: Final = Reason.SENT


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


def decide(rule: Rule, view: View) -> Decision:
    """Decide whether a rule messages a user on an occasion that one of its triggers matches.

    Windows are judged at the occasion's time, quiet hours and limits at `view.now_ms`. The reason is the first that
    applies of those of `Reason`, in their order.
    """
    occasion, user, now_ms = view.occasion, view.user, view.now_ms
    key = hashed(rule.key_head + view.key_tail)
    refusal = _refuse(rule, view)
    if refusal is not None:
        reason, clause, seen = refusal
        return Decision(
            key, rule.id, rule.version, user.id, occasion, _SUPPRESS, reason, now_ms, clause, seen, (), rule.test
        )
    seen = view.values if rule.audience is not None else {}
    messages = messages_of(rule, view)
    return Decision(
        key, rule.id, rule.version, user.id, occasion, _SEND, _SENT, now_ms, None, seen, messages, rule.test
    )


def _refuse(rule: Rule, view: View) -> Refusal | None:
    """The first reason not to send: its clause, and what was seen. What a rule does not ask costs next to nothing."""
    occasion = view.occasion
    if view.age_ms > rule.max_event_age_ms:
        return Reason.STALE, "max_event_age", {"age_ms": view.age_ms, "max_event_age_ms": rule.max_event_age_ms}
    if rule.max_accuracy_m is not None and not _is_within(occasion.accuracy_m, rule.max_accuracy_m):
        seen = {"accuracy_m": occasion.accuracy_m, "max_accuracy_m": rule.max_accuracy_m}
        return Reason.LOW_ACCURACY, "max_accuracy", seen
    if occasion.mocked and rule.mocked == "suppress":
        return Reason.MOCKED, "mocked", {"mocked": True}
    if not rule.always:
        zone = view.zone(rule.schedule.timezone)
        clause = _closed(rule, occasion.time_ms, zone)
        if clause is not None:
            return Reason.WINDOW, clause, {"time": clock_text(occasion.time_ms, zone), "timezone": zone.key}
    if rule.audience is not None:
        refusal = view.refusal(rule.audience)
        if refusal is not None:
            return refusal
    if view.user.sends:
        refusal = hit(rule.limits, view, rule=rule.id, test=rule.test)
        if refusal is not None:
            return refusal
    if rule.quiet_hours is not None:
        zone = view.zone(rule.quiet_hours.timezone)
        if rule.quiet_hours.hold(view.shown(zone)):
            return Reason.QUIET_HOURS, "quiet_hours", {"time": clock_text(view.now_ms, zone), "timezone": zone.key}
    if rule.test and view.user.id not in view.rules.test_users:
        return Reason.NOT_TEST_USER, "state", {"state": rule.state}
    return None


def _is_within(accuracy_m: float | None, max_accuracy_m: float) -> bool:
    """False of what is unknown, and of NaN: it is not known to be good enough."""
    return accuracy_m is not None and accuracy_m <= max_accuracy_m


def _closed(rule: Rule, time_ms: int, zone: ZoneInfo) -> str | None:
    """What a rule may not act at an instant for: its lifetime, or its windows."""
    if rule.active is not None and not rule.active.covers(time_ms, zone):
        return "active"
    return None if rule.schedule.is_open(time_ms, zone) else "schedule"


def messages_of(rule: Rule, view: View) -> tuple[Message, ...]:
    """The messages of a rule on an occasion: one for each action, rendered in the user's language."""
    values = Values(view.occasion, view.user, rule.id, view.zone(rule.schedule.timezone))
    return tuple([_message(index, action, rule, view, values) for index, action in enumerate(rule.actions)])


def _message(index: int, action: Action, rule: Rule, view: View, values: Values) -> Message:
    template = action.own if action.own is not None else view.rules.templates[action.template or ""]
    locale = template.choose(view.user.locale)
    words = template.words[locale]
    return Message(
        index,
        action.channel,
        words.title.render(values),
        words.body.render(values),
        locale,
        action.ttl_ms,
        action.collapse_key.render(values) if action.collapse_key is not None else None,
        {key: v.render(values) if isinstance(v, Text) else v for key, v in action.data.items()} if action.data else {},
        (action.delivery or rule.delivery) == "at_most_once",
    )


def recheck(
    rule: Rule, user: User, now_ms: int, *, place: Place | None, ruleset: RuleSet
) -> Literal["ok", "quiet_hours", "withdrawn"]:
    """Whether a message that was decided may still be attempted now: consent and quiet hours, once more.

    `place` is the occasion's, as it is in force now, for the quiet hours' zone.
    """
    view = View(Occasion(Kind.EVENT, "", now_ms, user.id, place=place), user, now_ms, ruleset, {})
    if rule.audience is not None and withdrawn(rule.audience, view):
        return "withdrawn"
    if rule.quiet_hours is not None and rule.quiet_hours.hold(view.shown(view.zone(rule.quiet_hours.timezone))):
        return "quiet_hours"
    return "ok"
