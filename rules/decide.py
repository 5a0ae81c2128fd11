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
    from rules.model import Action, Rule, Terms, Trigger
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
    applies of those of `Reason`, in their order. What the terms say is found once for the rules that have them in
    common; limits are asked for each, since what the one before sends counts for the next.
    """
    user, terms = view.user, rule.terms
    judged, refusal, later = view.judged
    if judged is not terms:
        refusal = _refuse(terms, view)
        later = _refuse_later(terms, view) if refusal is None else None
        view.judged = terms, refusal, later
    if refusal is None:
        refusal = (hit(rule.limits, view, rule=rule.id, test=terms.test) if user.sends else None) or later
    key = hashed(rule.key_head + view.key_tail)
    if refusal is not None:
        reason, clause, seen = refusal
        return Decision(
            key, rule.id, rule.version, user.id, view.occasion, _SUPPRESS, reason, view.now_ms, clause, seen, (),
            terms.test,
        )  # fmt: skip
    seen = view.values if terms.audience is not None else {}
    return Decision(
        key, rule.id, rule.version, user.id, view.occasion, _SEND, _SENT, view.now_ms, None, seen,
        messages_of(rule, view), terms.test,
    )  # fmt: skip


def _refuse(terms: Terms, view: View) -> Refusal | None:
    """The first reason not to send that comes before the limits: its clause, and what was seen."""
    occasion = view.occasion
    if view.age_ms > terms.max_event_age_ms:
        return Reason.STALE, "max_event_age", {"age_ms": view.age_ms, "max_event_age_ms": terms.max_event_age_ms}
    if occasion.device is not None:  # without one there is no fix to judge
        if terms.max_accuracy_m is not None and not _is_within(occasion.accuracy_m, terms.max_accuracy_m):
            seen = {"accuracy_m": occasion.accuracy_m, "max_accuracy_m": terms.max_accuracy_m}
            return Reason.LOW_ACCURACY, "max_accuracy", seen
        if occasion.mocked and terms.mocked == "suppress":
            return Reason.MOCKED, "mocked", {"mocked": True}
    if not terms.always:
        zone = view.zone(terms.schedule.timezone)
        clause = _closed(terms, occasion.time_ms, zone)
        if clause is not None:
            return Reason.WINDOW, clause, {"time": clock_text(occasion.time_ms, zone), "timezone": zone.key}
    return None if terms.audience is None else view.refusal(terms.audience)


def _refuse_later(terms: Terms, view: View) -> Refusal | None:
    """The first reason not to send that comes after the limits."""
    if terms.quiet_hours is not None:
        zone = view.zone(terms.quiet_hours.timezone)
        if terms.quiet_hours.hold(view.shown(zone)):
            return Reason.QUIET_HOURS, "quiet_hours", {"time": clock_text(view.now_ms, zone), "timezone": zone.key}
    if terms.test and view.user.id not in view.rules.test_users:
        return Reason.NOT_TEST_USER, "state", {"state": "test"}
    return None


def _is_within(accuracy_m: float | None, max_accuracy_m: float) -> bool:
    """False of what is unknown, and of NaN: it is not known to be good enough."""
    return accuracy_m is not None and accuracy_m <= max_accuracy_m


def _closed(terms: Terms, time_ms: int, zone: ZoneInfo) -> str | None:
    """What a rule may not act at an instant for: its lifetime, or its windows."""
    if terms.active is not None and not terms.active.covers(time_ms, zone):
        return "active"
    return None if terms.schedule.is_open(time_ms, zone) else "schedule"


def messages_of(rule: Rule, view: View) -> tuple[Message, ...]:
    """The messages of a rule on an occasion: one for each action, rendered in the user's language.

    Rules with the same actions on the same terms say the same, unless they name themselves.
    """
    actions, terms, messages = view.told
    if actions is not rule.actions or terms is not rule.terms:
        values = Values(view.occasion, view.user, rule.id, view.zone(rule.terms.schedule.timezone))
        messages = tuple([_message(n, action, rule.terms, view, values) for n, action in enumerate(rule.actions)])
        if not values.rule_named:
            view.told = rule.actions, rule.terms, messages
    return messages


def _message(index: int, action: Action, terms: Terms, view: View, values: Values) -> Message:
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
        (action.delivery or terms.delivery) == "at_most_once",
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
