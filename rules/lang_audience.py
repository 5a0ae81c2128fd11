"""The keys of an audience, and how they become clauses.

Owns their notation. Must not know how clauses are judged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rules.audience import All, Attribute, Clause, Consent, EventCount, Inside, Not, OneOf, UserIn, Visits
from rules.lang_triggers import PLACE_REF, EventType
from rules.scalars import Duration, Flag, Number, Plain, Text, Whole, name
from rules.shapes import Again, Cases, Either, Fields, Json, Key, Listing, Noted, Record, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from rules.node import Node
    from rules.place import PlaceRef
    from rules.shapes import Desk

_COMBINE = frozenset({"all", "any", "not"})
_ATTRIBUTE = Text(pattern=r"^[^\s{}][^{}]{0,127}$", example="tier", most=128)


def _path(record: Record, kind: str) -> str:
    return f"{record.node.path}.{kind}"


def _attribute(record: Record) -> Clause | None:
    if not any(record.has(key) for key in ("is", "in", "min", "max", "exists")):
        record.wrong("attribute", "needs a question", "add one of `is`, `in`, `min`, `max`, `exists`")
    if record.get("is") is not None and record.has("in"):
        record.wrong("in", "cannot stand beside `is`", "put all values into `in`")
    if record.get("exists") is False and len(record.node.value) > 2:
        record.wrong("exists", "cannot be `false` beside other questions", "remove the others")
    _ordered(record)
    values = (record.get("is"),) if record.get("is") is not None else record.get("in")
    return Attribute(
        _path(record, "attribute"),
        record.get("attribute", ""),
        values=None if values is None else tuple(values),
        least=record.get("min"),
        most=record.get("max"),
        exists=record.get("exists"),
    )


def _ordered(record: Record) -> None:
    least, most = record.get("min"), record.get("max")
    if least is not None and most is not None and least > most:
        record.wrong("max", f"is less than `min`, {least}", "swap them", got=str(most))


def _bounds(record: Record) -> tuple[int, int | None]:
    """From `min` to `max`; without either, at least one."""
    _ordered(record)
    return record.get("min", 0 if record.has("max") else 1), record.get("max")


def _event_count(record: Record) -> Clause | None:
    least, most = _bounds(record)
    return EventCount("", record.get("type", ""), record.get("within"), least, most)


def _visits(record: Record) -> Clause | None:
    least, most = _bounds(record)
    place: PlaceRef | str | None = record.get("place")
    return Visits("", None if isinstance(place, str) else place, record.get("within"), least, most)


_WITHIN = Key(Noted("within", Duration("30d")), "how far back to count; by default as long as events are kept")
_LEAST = Key(Whole(0), "at least so often, inclusive; 1 by default, 0 beside `max`")
_MOST = Key(Whole(0), "at most so often, inclusive")

_EVENT_COUNT: Fields[Clause] = Fields(
    "a count of events",
    {"type": Key(EventType(), "the type of the events", required=True), "within": _WITHIN, "min": _LEAST, "max": _MOST},
    _event_count,
    always=True,
)
_VISITS: Fields[Clause] = Fields(
    "a count of visits",
    {
        "place": Key(
            Either(["same"], PLACE_REF, example="{id: shinjuku}"),
            "the places, or `same`: the occasion's own place",
            required=True,
        ),
        "within": _WITHIN,
        "min": _LEAST,
        "max": _MOST,
    },
    _visits,
    always=True,
)
_USER: Fields[frozenset[str]] = Fields(
    "a list of users",
    {"in": Key(Listing(Text(most=256)), "their ids", required=True)},
    lambda record: frozenset(record.get("in")),
)
_CLAUSES = Listing(Again("clause", lambda: CLAUSE), most=200)


def _at_path(kind: str) -> Callable[[Record], Clause]:
    def build(record: Record) -> Clause:
        found = record.get(kind)
        path = _path(record, kind)
        if kind == "consent":
            return Consent(path, found)
        if kind == "inside":
            return Inside(path, found)
        if kind == "user":
            return UserIn(path, found)
        counted: EventCount | Visits = found
        return replace(counted, path=path)

    return build


def _combined(record: Record) -> Clause | None:
    """`all`, `any` and `not`; several side by side must all hold."""
    parts: list[Clause] = []
    for kind in record.node.value:
        found = record.get(kind)
        parts.append(Not(found) if kind == "not" else All(tuple(found)) if kind == "all" else OneOf(tuple(found)))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


_COMBINED: Fields[Clause] = Fields(
    "a clause",
    {
        "all": Key(_CLAUSES, "every one of these holds"),
        "any": Key(_CLAUSES, "at least one of these holds"),
        "not": Key(Again("clause", lambda: CLAUSE), "this does not hold"),
    },
    _combined,
)

_LEAVES: dict[str, Fields[Clause]] = {
    "consent": Fields(
        "a clause",
        {"consent": Key(name("location_marketing"), "the user gave this consent", required=True)},
        _at_path("consent"),
    ),
    "attribute": Fields(
        "a clause",
        {
            "attribute": Key(_ATTRIBUTE, "an attribute of the user; dots lead into nested objects", required=True),
            "is": Key(Plain(), "it is this value"),
            "in": Key(Listing(Plain()), "it is one of these"),
            "min": Key(Number(), "it is at least this number"),
            "max": Key(Number(), "it is at most this number"),
            "exists": Key(Flag(), "whether there is one at all"),
        },
        _attribute,
        always=True,
    ),
    "inside": Fields(
        "a clause", {"inside": Key(PLACE_REF, "a device of the user is there now", required=True)}, _at_path("inside")
    ),
    "event_count": Fields(
        "a clause",
        {"event_count": Key(_EVENT_COUNT, "how often an event came", required=True)},
        _at_path("event_count"),
    ),
    "visits": Fields(
        "a clause", {"visits": Key(_VISITS, "how often places were entered", required=True)}, _at_path("visits")
    ),
    "user": Fields("a clause", {"user": Key(_USER, "the user is one of these", required=True)}, _at_path("user")),
}


class _ClauseShape(Shape[Clause]):
    """One clause: a combination (`all any not`) or a leaf."""

    def __init__(self) -> None:
        self.cases: Cases[Clause] = Cases("a clause", {**dict.fromkeys(_COMBINED.keys, _COMBINED), **_LEAVES})

    def read(self, node: Node, desk: Desk) -> Clause | None:
        if node.is_list:
            desk.needs(node, "one clause", "write `{all: [...]}` or `{any: [...]}` around the list")
            return None
        if node.is_mapping and not _COMBINE.isdisjoint(node.value):
            leaf = next((child for kind, child in node.value.items() if kind in _LEAVES), None)
            if leaf is None:
                return _COMBINED.read(node, desk)
            desk.wrong(leaf, "cannot stand beside `all`, `any` or `not`", "put it into their list", key=True)
            return None
        return self.cases.read(node, desk)

    def schema(self) -> Json:
        return {"oneOf": [_COMBINED.schema() | {"minProperties": 1}, *(leaf.schema() for leaf in _LEAVES.values())]}


CLAUSE: Shape[Clause] = _ClauseShape()


class Audience(Shape[Clause]):
    """The audience of a rule: `all`, `any` and `not` over clauses."""

    def read(self, node: Node, desk: Desk) -> Clause | None:
        if node.is_list or (node.is_mapping and _COMBINE.isdisjoint(node.value)):
            desk.needs(node, "one of `all`, `any`, `not`", "write `{all: [...]}` around the clauses")
            return None
        return CLAUSE.read(node, desk)

    def schema(self) -> Json:
        return _COMBINED.schema() | {"minProperties": 1}


DEFS: dict[str, Shape[Any]] = {"clause": CLAUSE}
