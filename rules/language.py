"""The keys of a rule, and how they become a `Rule`.

Owns the top of the language; its parts are in `lang_*.py`. Must not know which places, channels and templates exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from geo.mistake import did_you_mean
from rules.lang_actions import DELIVERY, OneAction
from rules.lang_audience import Audience
from rules.lang_tests import CASE
from rules.lang_triggers import DAYS, Triggers, days_of
from rules.limits import Cap, Cooldown, Limits
from rules.model import Rule
from rules.scalars import Distance, Duration, Quantity, Whole, Word, WordOr, Zone, day, instant, name, time_of_day
from rules.shapes import Cases, Either, Fields, Key, Listing, OneOrMore, Shape
from rules.units import DAY_MS
from rules.windows import Active, QuietHours, Schedule, Window, holiday_codes, resolve
from rules.zones import day_of

if TYPE_CHECKING:
    from datetime import datetime

    from rules.node import Node
    from rules.shapes import Desk, Json, Record

#: Limits look back no farther: what is older may be forgotten.
LOOK_BACK_MS = 366 * DAY_MS
#: The offsets of zones from UTC lie between these.
_WESTERNMOST_MS, _EASTERNMOST_MS = -12 * 3_600_000, 14 * 3_600_000
_UTC = ZoneInfo("UTC")
STATES = ("draft", "test", "live", "paused")


def _span(record: Record, whole_day: str) -> tuple[int, int]:
    """The two times of a window or of quiet hours, checked against each other."""
    since, until = record.get("from", 0), record.get("to", DAY_MS)
    if since == DAY_MS:
        record.wrong("from", "cannot be the end of a day", "write `00:00`", got="24:00")
    elif record.has("from") and record.has("to") and since == until:
        record.wrong("to", "is the same time as `from`", whole_day, got=record.at("to").shown)
    return since, until


def _window(record: Record) -> Window:
    whole_day = 'write `from: "00:00", to: "24:00"` for the whole day'
    since, until = _span(record, whole_day)
    if until == 0 and not record.has("from"):
        what = "is the same time as `from`, which is `00:00` by default"
        record.desk.wrong_by_now(record.at("to"), what, whole_day)
    return Window(days_of(record), since, until)


class _Holidays(Shape[str]):
    """A country, or a country and its part, of the package `holidays`."""

    def read(self, node: Node, desk: Desk) -> str | None:
        if isinstance(node.value, str) and node.value in holiday_codes():
            return node.value
        in_capitals = {code.upper(): code for code in holiday_codes()}.get(node.text.upper(), node.text)
        mend = did_you_mean(in_capitals, holiday_codes()) if isinstance(node.value, str) else ""
        desk.needs(node, "a country such as `JP`, or its part such as `US-CA`", mend if mend.startswith("did") else "")
        return None

    def schema(self) -> Json:
        return {"type": "string", "pattern": "^[A-Z]{2,4}(-.+)?$", "examples": ["JP", "US-CA"]}


_EXCEPT: Cases[tuple[str, Any]] = Cases(
    "an exception",
    {
        "holidays": Fields(
            "an exception",
            {
                "holidays": Key(
                    _Holidays(), "the public holidays of a country, such as `JP`, or of its part", required=True
                )
            },
            lambda record: ("holidays", record.get("holidays")),
        ),
        "dates": Fields(
            "an exception",
            {"dates": Key(Listing(day()), "these dates", required=True)},
            lambda record: ("dates", frozenset(day_of(d) for d in record.get("dates"))),
        ),
    },
)


def _schedule(record: Record) -> Schedule:
    exceptions = record.get("except", [])
    return Schedule(
        record.get("timezone", "place"),
        tuple(record.get("windows", (Window(),))),
        tuple(value for kind, value in exceptions if kind == "holidays"),
        frozenset(d for kind, value in exceptions if kind == "dates" for d in value),
    )


_SCHEDULE: Fields[Schedule] = Fields(
    "a schedule",
    {
        "timezone": Key(Zone("place", "user"), "whose local time: `place` (default), `user`, or an IANA name"),
        "windows": Key(
            Listing(
                Fields(
                    "a window",
                    {
                        "days": Key(DAYS, "the weekdays on which it starts; every day by default"),
                        "from": Key(time_of_day(), "when it opens; `00:00` by default"),
                        "to": Key(
                            time_of_day("18:00"),
                            "when it shuts, exclusive; before `from`: on the next day; `24:00` by default",
                        ),
                    },
                    _window,
                    always=True,
                )
            ),
            "when the rule may act; always by default",
        ),
        "except": Key(Listing(_EXCEPT), "days on which no window starts"),
    },
    _schedule,
)


def _active(record: Record) -> Active:
    since: int | datetime | None = record.get("from")
    until: int | datetime | None = record.get("until")
    if since is None or until is None:
        return Active(since, until)
    if type(since) is not type(until):
        if _instants(since)[0] >= _instants(until)[1]:
            record.desk.wrong_by_now(record.at("until"), "is not after `from` in any time zone", "swap them")
    elif since >= until:  # type: ignore[operator]
        record.wrong("until", "is not after `from`", "swap them", got=record.at("until").shown)
    return Active(since, until)


def _instants(moment: int | datetime) -> tuple[int, int]:
    """The first and the last instant that a moment can be, in whatever zone it is told."""
    if isinstance(moment, int):
        return moment, moment
    in_utc = resolve(moment, _UTC)
    return in_utc - _EASTERNMOST_MS, in_utc - _WESTERNMOST_MS


_ACTIVE: Fields[Active] = Fields(
    "a lifetime",
    {
        "from": Key(instant(), "from when on; a date or a local time is told in the schedule's zone"),
        "until": Key(instant(), "until when, exclusive"),
    },
    _active,
    always=True,
)

_COOLDOWN: Fields[Cooldown] = Fields(
    "a cooldown",
    {
        "per": Key(Word("user-place", "user"), "per user and place (default), or per user"),
        "of": Key(Duration("6d", least=1000, most=LOOK_BACK_MS), "for how long, from the decision", required=True),
    },
    lambda record: Cooldown(record.get("per", "user-place"), record.get("of")),
)


def _cap(record: Record) -> Cap:
    scope, per = record.get("scope", ""), record.get("per", 0)
    if scope == "tag" and not record.has("tag"):
        record.wrong("scope", "needs `tag` beside it", "add `tag:`", got="tag")
    if scope in ("all", "rule") and record.has("tag"):
        record.wrong("tag", f"does not belong to the scope `{scope}`", "write `scope: tag`")
    if isinstance(per, int) and record.has("per") and record.has("timezone"):
        record.wrong("timezone", "belongs to `day`, `week` and `month` alone", "remove it, a duration rolls")
    return Cap(record.node.path, scope, record.get("max", 1), per, record.get("tag"), record.get("timezone", "user"))


_PER = WordOr(Duration("7d", least=1000, most=LOOK_BACK_MS), "day", "week", "month")
_CAP: Fields[Cap] = Fields(
    "a cap",
    {
        "scope": Key(
            Word("tag", "all", "rule"), "whose sends count: rules with a `tag`, `all` rules, this `rule`", required=True
        ),
        "tag": Key(name("promotional"), "with `scope: tag`: the tag"),
        "max": Key(Whole(1), "at most so many sends", required=True),
        "per": Key(
            _PER, "in a calendar `day`, `week` (from Monday) or `month`, or in a rolling duration", required=True
        ),
        "timezone": Key(Zone("user", "place"), "whose calendar: `user` (default), `place`, or an IANA name"),
    },
    _cap,
    always=True,
)


def _limits(record: Record) -> Limits:
    cooldown = record.get("cooldown")
    none = cooldown == "none"
    return Limits(None if none else cooldown, none, tuple(record.get("caps", ())))


_LIMITS: Fields[Limits] = Fields(
    "limits",
    {
        "cooldown": Key(
            Either(["none"], _COOLDOWN, example="{per: user-place, of: 1h}"),
            "the rule's silence after it sent; by default one hour per user and place for `entered dwelled crossed`",
        ),
        "caps": Key(Listing(_CAP, most=50), "upper bounds, all of which must hold"),
    },
    _limits,
)


def _quiet_hours(record: Record) -> QuietHours:
    since, until = _span(record, "change one, or pause the rule to be quiet all day")
    return QuietHours(since, until, record.get("timezone", "user"))


_QUIET: Fields[QuietHours] = Fields(
    "quiet hours",
    {
        "from": Key(time_of_day("21:00"), "when they begin", required=True),
        "to": Key(time_of_day("09:00"), "when they end, exclusive; before `from`: on the next day", required=True),
        "timezone": Key(Zone("user", "place"), "whose local time: `user` (default), `place`, or an IANA name"),
    },
    _quiet_hours,
    always=True,
)

_MAX_ACCURACY: Quantity[float] = Distance("100m", least=0.001)

RULE_KEYS: dict[str, Key] = {
    "id": Key(name("shinjuku-wed-timesale"), "its name, unique in the site", required=True),
    "state": Key(
        Word(*STATES), "`draft` (default) is only checked, `test` sends to test users, `live` to all, `paused` to none"
    ),
    "priority": Key(Whole(-1_000_000, 1_000_000), "who decides first on one occasion: the higher; 0 by default"),
    "tags": Key(OneOrMore(name("promotional")), "words by which caps count it"),
    "trigger": Key(Triggers(), "what makes it act", required=True),
    "max_event_age": Key(Duration("2m", least=1000), "how old an occasion may be when decided; `15m` by default"),
    "schedule": Key(_SCHEDULE, "when it may act"),
    "active": Key(_ACTIVE, "from when until when it lives"),
    "audience": Key(Audience(), "whom it is for"),
    "limits": Key(_LIMITS, "how often one person may be messaged"),
    "quiet_hours": Key(_QUIET, "when nobody is messaged"),
    "max_accuracy": Key(WordOr(_MAX_ACCURACY, "none"), "how inexact the newest fix may be; `none` by default"),
    "mocked": Key(Word("suppress", "allow"), "what to do when the newest fix was mocked; `suppress` by default"),
    "initial": Key(
        Word("fire", "suppress"), "whether it acts on people over whom a place appears; `suppress` by default"
    ),
    "delivery": Key(DELIVERY, "`at_least_once` (default), or `at_most_once`: never twice, sometimes not at all"),
    "actions": Key(Listing(OneAction(), most=20), "what to send", required=True),
    "tests": Key(Listing(CASE, least=0), "what must come of what"),
}


def _rule(record: Record) -> Rule:
    accuracy = record.get("max_accuracy")
    given = {key: record.values[key] for key in _AS_THEY_ARE if key in record.values}
    if (age := record.get("max_event_age")) is not None:
        given["max_event_age_ms"] = age
    return Rule(
        record.get("id"),
        record.get("trigger"),
        tuple(record.get("actions")),
        tags=tuple(record.get("tags", ())),
        max_accuracy_m=None if accuracy == "none" else accuracy,
        tests=tuple(record.get("tests", ())),
        file=record.node.file,
        line=record.node.line,
        **given,
    )


_AS_THEY_ARE = (
    *("state", "priority", "schedule", "active", "audience", "limits", "quiet_hours"),
    *("mocked", "initial", "delivery"),
)
RULE: Fields[Rule] = Fields("a rule", RULE_KEYS, _rule)
