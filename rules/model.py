"""A rule as it was read: frozen, complete, without any trace of YAML.

Owns what a rule consists of. Must not know how it is written or how it is judged.
Durations and instants are milliseconds, distances metres.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rules.audience import Inside, Visits, asks
from rules.facts import Kind
from rules.ids import part
from rules.limits import Limits
from rules.windows import EVERY_DAY, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rules.audience import Clause
    from rules.place import Place, PlaceRef
    from rules.texts import Template, Text
    from rules.windows import Active, QuietHours

MAX_EVENT_AGE_MS: Final = 15 * 60_000
TTL_MS: Final = 60 * 60_000
TRANSITIONS: Final = frozenset({Kind.ENTERED, Kind.DWELLED, Kind.EXITED, Kind.CROSSED})


@dataclass(frozen=True, slots=True)
class Trigger:
    """One thing that makes a rule act.

    A transition has `place` (None: any) and, for `dwelled`, `dwell_ms`. An event has `event_type` and `where`: pairs
    of a path in the event and the values it may have. A timer has `days`, `at_ms`, `timezone` (None: the places'
    own), `inside` and `seen_within_ms`. `index` is its place in the rule's list.
    """

    kind: Kind
    index: int = 0
    place: PlaceRef | None = None
    dwell_ms: int | None = None
    event_type: str | None = None
    where: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    days: frozenset[int] = EVERY_DAY
    at_ms: int = 0
    timezone: str | None = None
    inside: PlaceRef | None = None
    seen_within_ms: int | None = None

    @property
    def located(self) -> bool:
        """True if its occasions are at a place, of a device whose newest fix can be judged."""
        return self.kind in TRANSITIONS or self.inside is not None

    def meets(self, place: Place) -> bool:
        """True if a transition at `place` is one of this trigger's."""
        return self.place is None or self.place.covers(place)


@dataclass(frozen=True, slots=True)
class Action:
    """One message on one channel. `template` names a template; `own` holds texts written in the rule itself.
    `delivery` None means the rule's."""

    channel: str
    template: str | None = None
    own: Template | None = None
    ttl_ms: int = TTL_MS
    collapse_key: Text | None = None
    data: Mapping[str, Text | bool | int | float] = field(default_factory=dict)
    delivery: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One of a rule's own tests: what is given, and what must come of it (a reason, or `none`: no decision).

    `kind` and `place` (an id) or `event_type`, `event_id` and `data` say what happens `at`; a local time is told in the
    place's zone. `late_ms` is how much later it is decided. `line` and `column` say where the test stands.
    """

    kind: Kind
    at: int | datetime
    then: str
    user: str
    place: str | None = None
    dwell_ms: int | None = None
    event_type: str | None = None
    event_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    consent: frozenset[str] = frozenset()
    locale: str | None = None
    timezone: str | None = None
    inside: tuple[str, ...] = ()
    late_ms: int = 0
    accuracy_m: float | None = 0.0
    mocked: bool = False
    events: tuple[tuple[str, Before], ...] = ()
    visits: tuple[tuple[str, Before], ...] = ()
    sent: tuple[Sent, ...] = ()
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """When something was before what a test tells of, as it is given. `line` and `column` say where that stands."""

    at: int | datetime
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A message sent before, given in a test: when, by which rule (None: this one), at which place, with which tags.

    `tags` None means those of the rule that sent it.
    """

    at: Before
    rule: str | None = None
    place: str | None = None
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All that a rule asks beside its limits, and how it sends: what rules of one hand have in common, as one object.

    `test` tells whether it sends to test users only, `always` whether there is no instant at which it may not act,
    `looks_round` whether it asks where the user is, `looks_back` whether it asks for their visits.
    """

    max_event_age_ms: int
    max_accuracy_m: float | None
    mocked: str
    schedule: Schedule
    active: Active | None
    audience: Clause | None
    quiet_hours: QuietHours | None
    delivery: str
    test: bool
    always: bool = field(init=False)
    looks_round: bool = field(init=False)
    looks_back: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "always", self.schedule.always and self.active is None)
        object.__setattr__(self, "looks_round", self.audience is not None and asks(self.audience, Inside))
        object.__setattr__(self, "looks_back", self.audience is not None and asks(self.audience, Visits))


class _ReadFirst:
    """What a decision reads of a rule. A base's slots come first: these lie side by side, in one cache line or two."""

    __slots__ = ("actions", "id", "key_head", "limits", "terms", "version")


@dataclass(frozen=True, slots=True)
class Rule(_ReadFirst):
    """One rule. `version` names its content and that of its templates; `file` and `line` say where it is written.

    `acts` tells whether its state lets it decide, `test` whether it sends to test users only. `key_head` is what the
    keys of its decisions begin with, `terms` what it asks beside its limits: one object for rules that ask the same.
    """

    id: str
    triggers: tuple[Trigger, ...]
    actions: tuple[Action, ...]
    state: str = "draft"
    priority: int = 0
    tags: tuple[str, ...] = ()
    max_event_age_ms: int = MAX_EVENT_AGE_MS
    schedule: Schedule = field(default_factory=Schedule)
    active: Active | None = None
    audience: Clause | None = None
    limits: Limits = field(default_factory=Limits)
    quiet_hours: QuietHours | None = None
    max_accuracy_m: float | None = None
    mocked: str = "suppress"
    initial: str = "suppress"
    delivery: str = "at_least_once"
    tests: tuple[Case, ...] = ()
    version: str = ""
    file: str = ""
    line: int = 0

    acts: bool = field(init=False, compare=False, repr=False)
    test: bool = field(init=False, compare=False, repr=False)
    key_head: bytes = field(init=False, compare=False, repr=False)
    terms: Terms = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "acts", self.state in ("live", "test"))
        object.__setattr__(self, "test", self.state == "test")
        object.__setattr__(self, "key_head", part(self.id))
        object.__setattr__(self, "terms", self.own_terms())

    def own_terms(self) -> Terms:
        """Its terms, made of its parts as they are now."""
        return Terms(
            self.max_event_age_ms, self.max_accuracy_m, self.mocked, self.schedule, self.active, self.audience,
            self.quiet_hours, self.delivery, self.test,
        )  # fmt: skip

    def with_parts(self, parts: Mapping[str, Any]) -> Rule:
        """This very rule with its version, and with twins of its own parts in their place: before anybody has seen it.

        A copy would cost a tenth of what reading the rule did.
        """
        for name, value in parts.items():
            object.__setattr__(self, name, value)
        return self

    def anew(self) -> Rule:
        """A copy. Those of rules that are copied one after the other lie side by side, with their ids and versions.

        Reading leaves each on a page of memory of its own, among what was dropped.
        """
        parts = {name: getattr(self, name).encode().decode() for name in ("id", "version")}
        return copy(self).with_parts({**parts, "key_head": part(self.id)})

    @property
    def initial_fire(self) -> bool:
        """True if it acts on an `entered` that an edit of the places caused."""
        return self.initial == "fire"
