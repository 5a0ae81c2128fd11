"""The keys of a rule's own tests, and how they become a `Case`.

Owns their notation. Must not know how a test is run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rules.facts import Kind, Reason
from rules.lang_triggers import PLACE_NAME
from rules.model import Before, Case, Sent
from rules.scalars import Anything, Distance, Duration, Flag, Text, Word, WordOr, Zone, instant, name
from rules.shapes import Fields, Key, Listing, Noted, OneOrMore, Record, Shape, Table

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Desk, Json

NONE = "none"
_KINDS = {"enters": Kind.ENTERED, "dwells": Kind.DWELLED, "exits": Kind.EXITED, "crosses": Kind.CROSSED}
_PLACE_ID = Noted("place id", PLACE_NAME)
TEST_USER = "test-user"
_OWN = ("id", "consent", "locale", "timezone")


class _User(Shape[dict[str, Any]]):
    """A user in a test: `id`, `consent`, `locale`, `timezone`; every other key is an attribute."""

    def __init__(self) -> None:
        self.own: dict[str, Shape[Any]] = {
            "id": Text(most=256),
            "consent": OneOrMore(name("location_marketing")),
            "locale": Text(most=64),
            "timezone": Zone(),
        }
        self.attributes = Table(Anything(), pattern=r"^[^{}]{1,128}$", example="tier")

    def read(self, node: Node, desk: Desk) -> dict[str, Any] | None:
        if not node.is_mapping:
            desk.needs(node, "a mapping of attributes, with `consent: [...]` among them")
            return None
        found: dict[str, Any] = {}
        for key, child in node.value.items():
            value = self.own.get(key, self.attributes.item).read(child, desk)
            if value is None:
                return None
            found[key] = value
        return found

    def schema(self) -> Json:
        properties = {key: shape.schema() for key, shape in self.own.items()}
        return self.attributes.schema() | {"properties": properties}


def _before(record: Record) -> Before:
    node = record.at("at")
    return Before(record.get("at"), node.line, node.column)


_AT = Key(instant(), "when; without an offset, in the place's zone", required=True)
_EVENT: Fields[Any] = Fields(
    "an event",
    {
        "type": Key(name("purchase"), "its type", required=True),
        "id": Key(Text(most=256), "its id"),
        "data": Key(Table(Anything(), pattern=".", example="sku"), "its data"),
    },
    lambda r: (r.get("type"), r.get("id", "test"), r.get("data", {})),
)
_PAST_EVENT: Fields[Any] = Fields(
    "an event",
    {"type": Key(name("purchase"), "its type", required=True), "at": _AT},
    lambda r: (r.get("type"), _before(r)),
)
_PAST_VISIT: Fields[Any] = Fields(
    "a visit", {"place": Key(_PLACE_ID, "its place", required=True), "at": _AT}, lambda r: (r.get("place"), _before(r))
)
_SENT: Fields[Sent] = Fields(
    "a message sent before",
    {
        "at": _AT,
        "rule": Key(Noted("rule", name("shinjuku-wed-timesale")), "by which rule; this one by default"),
        "place": Key(_PLACE_ID, "at which place; the test's own by default"),
        "tags": Key(OneOrMore(name("promotional")), "with which tags; that rule's by default"),
    },
    lambda r: Sent(_before(r), r.get("rule"), r.get("place"), None if r.get("tags") is None else tuple(r.get("tags"))),
)

GIVEN_KEYS = {
    "user": Key(_User(), "who: attributes, and `consent`, `id`, `locale`, `timezone`"),
    "enters": Key(_PLACE_ID, "the user enters this place"),
    "dwells": Key(_PLACE_ID, "the user has stayed in this place"),
    "exits": Key(_PLACE_ID, "the user leaves this place"),
    "crosses": Key(_PLACE_ID, "the user crosses this place between two fixes"),
    "event": Key(_EVENT, "this event comes"),
    "timer": Key(Flag(), "`true`: the timer is due at that instant"),
    "for": Key(Duration("5m"), "with `dwells`: how long; by default as long as the trigger wants"),
    "at": _AT,
    "late": Key(Duration("5m"), "how much later it is decided; at once by default"),
    "inside": Key(OneOrMore(_PLACE_ID), "where the user is, the place entered last at the end"),
    "accuracy": Key(WordOr(Distance(), "unknown"), "the newest fix's accuracy; exact by default"),
    "mocked": Key(Flag(), "whether the newest fix was mocked"),
    "events": Key(Listing(_PAST_EVENT, least=0), "events that came before"),
    "visits": Key(Listing(_PAST_VISIT, least=0), "places that were entered before"),
    "sent_before": Key(OneOrMore(_SENT), "messages that this user got before"),
}


def _given(record: Record) -> Case | None:
    happens = [key for key in (*_KINDS, "event", "timer") if record.has(key)]
    if len(happens) != 1:
        what = "needs one thing that happens" if not happens else f"has {len(happens)} things that happen"
        record.wrong("", what, "give one of " + ", ".join(f"`{key}`" for key in (*_KINDS, "event", "timer")))
        return None
    if record.has("for") and happens != ["dwells"]:
        record.wrong("for", "belongs to `dwells` alone", "remove it")
    if record.get("timer") is False:
        record.wrong("timer", "can only be `true`", "remove it")
    user: dict[str, Any] = record.get("user", {})
    event_type, event_id, data = record.get("event", (None, None, {}))
    accuracy = record.get("accuracy", 0.0)
    kind = _KINDS.get(happens[0], Kind.EVENT if happens == ["event"] else Kind.TIMER)
    return Case(
        kind,
        record.get("at", 0),
        "",
        user.get("id", TEST_USER),
        place=record.get(happens[0]) if happens[0] in _KINDS else None,
        dwell_ms=record.get("for"),
        event_type=event_type,
        event_id=event_id,
        data=data,
        attributes={key: value for key, value in user.items() if key not in _OWN},
        consent=frozenset(user.get("consent", ())),
        locale=user.get("locale"),
        timezone=user.get("timezone"),
        inside=tuple(record.get("inside", ())),
        late_ms=record.get("late", 0),
        accuracy_m=None if accuracy == "unknown" else accuracy,
        mocked=record.get("mocked", False),
        events=tuple(record.get("events", ())),
        visits=tuple(record.get("visits", ())),
        sent=tuple(record.get("sent_before", ())),
    )


def _case(record: Record) -> Case:
    given: Case = record.get("given")
    return replace(given, then=record.get("then"), line=record.node.line, column=record.node.column)


THEN = Word(*(reason.value for reason in Reason), NONE)
CASE: Fields[Case] = Fields(
    "a test",
    {
        "given": Key(
            Fields("what is given", GIVEN_KEYS, _given, always=True),
            "who does what, when, and what was before",
            required=True,
        ),
        "then": Key(THEN, "the reason that must come of it; `none`: no decision at all", required=True),
    },
    _case,
)
