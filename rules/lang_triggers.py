"""The keys of triggers and of places in rules, and how they become a `Trigger` and a `PlaceRef`.

Owns their notation. Must not know which places exist: references are noted, and looked up afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from rules.facts import Kind
from rules.model import TRANSITIONS, Trigger
from rules.place import PlaceRef
from rules.scalars import Duration, Plain, Text, Word, Zone, name, time_of_day
from rules.shapes import Again, Cases, Fields, Json, Key, Listing, Noted, OneOrMore, Record, Shape, Table
from rules.units import DAY_MS, WEEKDAYS
from rules.windows import EVERY_DAY

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Desk


#: Ids, tags and groups are the map's, in whatever script their author writes.
PLACE_NAME = Text(example="shinjuku", most=256)


def _place_ref(how: str) -> Fields[PlaceRef]:
    doc = {"id": "the place of this id", "tag": "every place with this tag", "group": "every place of this group"}
    key = Key(PLACE_NAME, doc[how], required=True)
    return Fields("a place", {how: key}, lambda record: PlaceRef(**{how: record.get(how)}))


class _PlaceOrId(Shape[PlaceRef]):
    """A mapping with `id`, `tag` or `group`; a bare id gets told how to write it."""

    def __init__(self) -> None:
        self.cases: Shape[PlaceRef] = Cases("a place", {how: _place_ref(how) for how in ("id", "tag", "group")})

    def read(self, node: Node, desk: Desk) -> PlaceRef | None:
        if node.is_scalar and node.value is not None:
            desk.needs(node, "a place by `id`, `tag` or `group`", f"write `{{id: {node.text}}}`")
            return None
        return self.cases.read(node, desk)

    def schema(self) -> Json:
        return self.cases.schema()


PLACE: Shape[PlaceRef] = _PlaceOrId()
PLACE_REF: Shape[PlaceRef] = Noted("place", Again("place", lambda: PLACE))
DAYS: Shape[list[str]] = Listing(Word(*WEEKDAYS), most=7)


def days_of(record: Record) -> frozenset[int]:
    """The weekdays under `days`, 0 being Monday; all seven where there is no such key."""
    found = record.get("days")
    return EVERY_DAY if found is None else frozenset(WEEKDAYS.index(day) for day in found)


_PLACE = Key(PLACE_REF, "where; without it, any place")


def _moved(record: Record) -> Trigger:
    return Trigger(Kind(record.get("event")), place=record.get("place"))


def _dwelled(record: Record) -> Trigger:
    return Trigger(Kind.DWELLED, place=record.get("place"), dwell_ms=record.get("for"))


def _happened(record: Record) -> Trigger:
    where = tuple((path, tuple(values)) for path, values in record.get("where", {}).items())
    return Trigger(Kind.EVENT, event_type=record.get("event"), where=where)


def _timer(record: Record) -> Trigger:
    if record.has("seen_within") and not record.has("inside"):
        record.wrong("seen_within", "needs `inside` beside it", "add `inside:`, for it is of a fix in that place")
    return Trigger(
        Kind.TIMER,
        days=days_of(record),
        at_ms=record.get("at", 0),
        timezone=None if record.get("timezone") == "place" else record.get("timezone"),
        inside=record.get("inside"),
        seen_within_ms=record.get("seen_within"),
    )


class _TimerZone(Zone):
    """A zone, but not `user`: an instant must be one for all."""

    def read(self, node: Node, desk: Desk) -> str | None:
        if node.value == "user":
            mend = "write `place` or an IANA name such as `Asia/Tokyo`"
            desk.wrong(node, "of a timer cannot be each user's own", mend, got="user")
            return None
        return super().read(node, desk)

    def schema(self) -> Json:
        return super().schema() | {"not": {"const": "user"}}


class _AtTime(Shape[int]):
    """A time of day at which something happens: there is no 24:00."""

    def __init__(self) -> None:
        self.time: Shape[int] = time_of_day()

    def read(self, node: Node, desk: Desk) -> int | None:
        value = self.time.read(node, desk)
        if value == DAY_MS:
            desk.wrong(node, "has no 24:00", "write `00:00` and the day after", got=node.shown)
            return None
        return value

    def schema(self) -> Json:
        return self.time.schema() | {"not": {"const": "24:00"}}


AT_TIME: Shape[int] = _AtTime()


class EventType(Shape[str]):
    """The type of an event. The names of transitions are taken, and what looks like one is surely a slip."""

    _slips: ClassVar[dict[str, str]] = {
        **{"enter": "entered", "entering": "entered", "arrived": "entered", "exit": "exited", "left": "exited"},
        **{"dwell": "dwelled", "dwelling": "dwelled", "cross": "crossed", "time": "timer", "timers": "timer"},
    }

    def __init__(self) -> None:
        self.text = name("purchase")

    def read(self, node: Node, desk: Desk) -> str | None:
        value = self.text.read(node, desk)
        if value is None:
            return None
        near = self._nearly(value.lower())
        if near is None:
            return value
        mend = f"did you mean `{near}`?" if value not in _TAKEN else "count visits with `visits`"
        desk.wrong(node, "is not a type that an event may have", mend, got=value)
        return None

    def _nearly(self, value: str) -> str | None:
        """The transition that was surely meant, None where it looks like none."""
        source, _, last = value.rpartition(".")
        if source not in ("", "geofence", "fence", "beacon", "zone", "place"):
            return None
        near = get_close_matches(last, _TAKEN, n=1, cutoff=0.86)
        return self._slips.get(last) or (near[0] if near else None)

    def schema(self) -> Json:
        return self.text.schema() | {"not": {"enum": list(_TAKEN)}}


_EVENT_TYPE = EventType()
_TAKEN = ("entered", "dwelled", "exited", "crossed", "timer")
_WHERE = Table(OneOrMore(Plain()), pattern=r"^(data(\.[^.]+)+|id)$", example="data.sku", least=1)


def _event(shape: Shape[str]) -> Key:
    return Key(shape, "what happens: a transition, `timer`, or the type of an event", required=True)


_MOVED = Fields("a trigger", {"event": _event(Word("entered", "exited", "crossed")), "place": _PLACE}, _moved)
_DWELLED = Fields(
    "a trigger",
    {
        "event": _event(Word("dwelled")),
        "place": _PLACE,
        "for": Key(Duration("5m", least=1000), "how long the stay must have lasted", required=True),
    },
    _dwelled,
)
_HAPPENED = Fields(
    "a trigger",
    {
        "event": _event(_EVENT_TYPE),
        "where": Key(
            _WHERE, "what the event must hold: a path such as `data.sku`, and the value or values it may have"
        ),
    },
    _happened,
)
_TIMER = Fields(
    "a trigger",
    {
        "event": _event(Word("timer")),
        "days": Key(DAYS, "on which weekdays; every day by default"),
        "at": Key(AT_TIME, "at which local time", required=True),
        "timezone": Key(_TimerZone("place"), "whose local time: `place` (default), or an IANA name"),
        "inside": Key(
            PLACE_REF,
            "whom it is for: users who are in such a place; without it, all who were at a place, or told of",
        ),
        "seen_within": Key(Duration("10m"), "how long ago a device there may have been seen last"),
    },
    _timer,
    always=True,
)

_BY_KIND = {"dwelled": _DWELLED, "timer": _TIMER, "event": _HAPPENED}
_WRONG_KEYS = {
    ("event", "place"): "an event has no place, add `{inside: ...}` to the audience",
    ("event", "for"): "only `dwelled` has `for`",
    ("timer", "place"): "write `inside:`",
    ("timer", "for"): "only `dwelled` has `for`",
    ("transition", "for"): "only `dwelled` has `for`",
    ("transition", "where"): "only an event has `where`",
    ("transition", "inside"): "write `place:`",
    ("transition", "at"): "write `schedule: {windows: [...]}`",
}


class _OneTrigger(Shape[Trigger]):
    """A trigger, told apart by its `event`."""

    def read(self, node: Node, desk: Desk) -> Trigger | None:
        event = node.get("event")
        if event is None:
            desk.needs(node, "`event:` and what happens", "write `{event: entered, place: {id: ...}}`")
            return None
        if event.text not in _TAKEN and _EVENT_TYPE.read(event, desk) is None:
            return None
        kind = event.text if event.text in _TAKEN else "event"
        general = "transition" if kind in TRANSITIONS else kind
        for wrong, child in node.value.items():
            mend = _WRONG_KEYS.get((general, wrong))
            if mend and not (kind == "dwelled" and wrong == "for"):
                desk.wrong(child, f"does not belong to `{event.text}`", mend, key=True)
                return None
        return _BY_KIND.get(kind, _MOVED).read(node, desk)

    def schema(self) -> Json:
        return {"oneOf": [shape.schema() for shape in (_MOVED, _DWELLED, _HAPPENED, _TIMER)]}


_ONE_TRIGGER = _OneTrigger()
_ONE: Again[Trigger] = Again("trigger", lambda: _ONE_TRIGGER)
_MANY: Fields[list[Trigger]] = Fields(
    "a trigger",
    {"any": Key(Listing(_ONE, most=100), "triggers, each of which makes the rule act", required=True)},
    lambda record: record.get("any"),
)


class Triggers(Shape[tuple[Trigger, ...]]):
    """One trigger, or `any: [...]`."""

    def read(self, node: Node, desk: Desk) -> tuple[Trigger, ...] | None:
        if not node.is_mapping:
            desk.needs(node, "a trigger", "write `{event: entered, place: {id: ...}}`, or `{any: [...]}` for several")
            return None
        if node.get("any") is not None:
            found = _MANY.read(node, desk)
        else:
            one = _ONE_TRIGGER.read(node, desk)
            found = None if one is None else [one]
        return None if found is None else tuple(replace(t, index=i) if i else t for i, t in enumerate(found))

    def schema(self) -> Json:
        return {"oneOf": [_ONE.schema(), _MANY.schema()]}


DEFS: dict[str, Shape[Any]] = {"place": PLACE, "trigger": _ONE_TRIGGER}
