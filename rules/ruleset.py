"""All rules of a site, read together, and found by what happens.

Owns the index from a place, an event type or a timer to the rules that may act, so that an occasion costs the same
however many other rules there are. Must not know how a rule is judged, nor where files lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from geo.mistake import Mistake
from rules.audience import purposes
from rules.check import Draft, check
from rules.content import canonical, in_braces
from rules.facts import Kind
from rules.ids import h
from rules.lang_actions import template_of
from rules.language import RULE
from rules.model import TRANSITIONS, Rule, Trigger
from rules.place import PlaceRef
from rules.reader import read_documents
from rules.shapes import Desk
from rules.sharing import shared
from rules.zones import zone

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rules.node import Node
    from rules.place import Place
    from rules.texts import Template

Pair = tuple[Rule, Trigger]
_NO_PAIRS: tuple[Pair, ...] = ()
_UTC = ZoneInfo("UTC")


#: Longer than anything is kept.
EVER_MS = 1 << 62


@dataclass(slots=True)
class RuleSet:
    """The rules of a site, in every state, and what they need of its settings. Never changed once it is made.

    `timezone` is the setting's zone, `events_ms` how long events and visits are kept.
    """

    rules: tuple[Rule, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    places: Sequence[Place] = ()
    timezone: ZoneInfo = _UTC
    test_users: frozenset[str] = frozenset()
    events_ms: int = EVER_MS
    _by_id: dict[str, Rule] = field(init=False, repr=False)
    _transitions: dict[Kind, dict[PlaceRef | None, list[Pair]]] = field(init=False, repr=False)
    _events: dict[str, tuple[Pair, ...]] = field(init=False, repr=False)
    _timers: tuple[Pair, ...] = field(init=False, repr=False)
    _zones: dict[PlaceRef, set[ZoneInfo]] = field(init=False, repr=False)
    _running: frozenset[str] = field(init=False, repr=False)
    _found: dict[tuple[str, Kind, int | None], tuple[Rule, ...]] = field(init=False, repr=False)
    _dwells: dict[str, tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.rules = tuple(sorted(self.rules, key=_rank))
        self._by_id = {rule.id: rule for rule in self.rules}
        self._running = frozenset(rule.id for rule in self.rules if rule.acts)
        self._found, self._dwells, self._transitions = {}, {}, {}
        acting = [(rule, trigger) for rule in self.rules if rule.acts for trigger in rule.triggers]
        events: dict[str, list[Pair]] = {}
        for rule, trigger in acting:
            if trigger.kind in TRANSITIONS:
                self._transitions.setdefault(trigger.kind, {}).setdefault(trigger.place, []).append((rule, trigger))
            elif trigger.event_type is not None:
                events.setdefault(trigger.event_type, []).append((rule, trigger))
        self._events = {kind: tuple(pairs) for kind, pairs in events.items()}
        self._timers = tuple((rule, trigger) for rule, trigger in acting if trigger.kind is Kind.TIMER)
        self._zones = self._zones_by_ref()

    def _zones_by_ref(self) -> dict[PlaceRef, set[ZoneInfo]]:
        """The zones of the places that timers watch."""
        watched = {trigger.inside for rule in self.rules for trigger in rule.triggers}
        zones: dict[PlaceRef, set[ZoneInfo]] = {ref: set() for ref in watched if ref is not None}
        if zones:
            for place in self.places:
                for ref in _refs(place):
                    if ref is not None and ref in zones:
                        zones[ref].add(self.zone_of(place))
        return zones

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of an id, in whatever state."""
        return self._by_id.get(rule_id)

    def asks_for(self, kind: Kind) -> bool:
        """True if a rule may act on transitions of a kind, at whatever place."""
        return kind in self._transitions

    def kinds_at(self, place: Place) -> set[Kind]:
        """The kinds of transitions at a place that a rule may act on."""
        refs = _refs(place)
        return {kind for kind, named in self._transitions.items() if any(ref in named for ref in refs)}

    def for_transition(self, place: Place, kind: Kind, dwell_ms: int | None = None) -> tuple[Rule, ...]:
        """The rules that may act on a transition, each once, however many of its triggers fit, by (-priority, id).

        For `dwelled`, only those with `for` equal to `dwell_ms`, if that is given.
        """
        if not self.asks_for(kind):
            return ()
        key = (place.id, kind, dwell_ms)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._search(place, kind, dwell_ms)
        return found

    def _search(self, place: Place, kind: Kind, dwell_ms: int | None) -> tuple[Rule, ...]:
        found = {
            rule.id: rule for rule, trigger in self._at(place, kind) if dwell_ms is None or trigger.dwell_ms == dwell_ms
        }
        return tuple(sorted(found.values(), key=_rank))

    def _at(self, place: Place, kind: Kind) -> list[Pair]:
        named = self._transitions.get(kind)
        if named is None:  # most kinds no rule asks for, and places are many
            return []
        return [pair for ref in _refs(place) for pair in named.get(ref, ())]

    def for_event(self, event_type: str) -> tuple[Pair, ...]:
        """Every trigger for events of a type, by (-priority, id). A rule stands here once for each of its triggers."""
        return self._events.get(event_type, _NO_PAIRS)

    @property
    def timers(self) -> tuple[Pair, ...]:
        """Every timer of the rules that act, by (-priority, id)."""
        return self._timers

    def timer_zones(self, trigger: Trigger) -> tuple[ZoneInfo, ...]:
        """The zones in which a timer is due: its own, else those of the places it is for, else the setting's."""
        if trigger.timezone is not None:
            return (zone(trigger.timezone) or self.timezone,)
        if trigger.inside is None:
            return (self.timezone,)
        return tuple(sorted(self._zones[trigger.inside], key=lambda tz: tz.key)) or (self.timezone,)

    def zone_of(self, place: Place) -> ZoneInfo:
        """The zone of a place, else the setting's."""
        return (zone(place.timezone) if place.timezone else None) or self.timezone

    def dwell_durations(self, place: Place) -> tuple[int, ...]:
        """The dwell times, in ms and ascending, that rules ask for at a place."""
        if not self.asks_for(Kind.DWELLED):
            return ()
        found = self._dwells.get(place.id)
        if found is None:
            wanted = {trigger.dwell_ms for _, trigger in self._at(place, Kind.DWELLED) if trigger.dwell_ms is not None}
            found = self._dwells[place.id] = tuple(sorted(wanted))
        return found

    def crossing_wanted(self, place: Place) -> bool:
        """True if a rule asks for `crossed` at a place."""
        return bool(self._at(place, Kind.CROSSED))

    @property
    def running(self) -> frozenset[str]:
        """The ids of the rules whose state lets them decide. Of all others, what is pending is cancelled."""
        return self._running

    @property
    def purposes(self) -> frozenset[str]:
        """Every purpose for which a rule asks consent."""
        return frozenset(p for rule in self.rules if rule.audience is not None for p in purposes(rule.audience))

    @property
    def sends_horizon_ms(self) -> int:
        """How far back limits look: older reservations may be forgotten."""
        return max((rule.limits.horizon_ms for rule in self.rules), default=0)


def _rank(rule: Rule) -> tuple[int, str]:
    return -rule.priority, rule.id


def _refs(place: Place) -> list[PlaceRef | None]:
    """Every way in which a rule may mean a place."""
    refs: list[PlaceRef | None] = [None, PlaceRef(id=place.id)]
    refs += [PlaceRef(tag=tag) for tag in place.tags]
    return refs if place.group is None else [*refs, PlaceRef(group=place.group)]


def read_rules(
    files: Mapping[str, bytes],
    templates: Mapping[str, bytes],
    *,
    places: Sequence[Place],
    channels: Collection[str],
    timezone: str,
    test_users: Collection[str],
    keep_ms: Mapping[str, int],
    was_in_force: bool = False,
) -> tuple[RuleSet | None, list[Mistake]]:
    """Read all rules and templates of a site, and gather the mistakes of all files at once.

    `files` and `templates` map a path, as messages shall show it, to its content. `channels` are the names of the
    configured channels: when there is none, any is accepted. `keep_ms` holds how long `events` are kept. The rule set
    is None exactly when there are mistakes. One that `was_in_force` was checked then: what is asked of rules beyond
    that by now is no reason not to go on with it.
    """
    desk = Desk()
    texts = _read_templates(templates, desk)
    drafts: list[Draft] = []
    nodes: list[Node] = []
    for path in sorted(files):
        documents, mistakes = read_documents(files[path], file=path)
        desk.mistakes += mistakes
        for node in documents:
            nodes.append(node)
            rule = RULE.read(node, desk)
            drafts.append(Draft(node, rule))
    if not was_in_force:
        check(desk, drafts, texts, places=places, channels=channels, keep_ms=keep_ms)
    if desk.mistakes:
        return None, sorted(set(desk.mistakes))
    known: dict[str, Any] = {}
    rules = [_completed(draft.node, draft.rule, texts, known) for draft in drafts if draft.rule is not None]
    return (
        RuleSet(
            tuple([rule.anew() for rule in sorted(rules, key=_rank)]),
            {name: template for name, template in texts.items() if template is not None},
            tuple(places),
            zone(timezone) or _UTC,
            frozenset(test_users),
            keep_ms.get("events", EVER_MS),
        ),
        [],
    )


#: What of rules is likely to stand in others too, and the keys that say it.
_IN_COMMON = {
    "schedule": "schedule",
    "audience": "audience",
    "limits": "limits",
    "quiet_hours": "quiet_hours",
    "actions": "actions",
    "max_event_age_ms": "max_event_age",
}
#: What is said of a rule beside its terms.
_NO_TERMS = frozenset({"id", "priority", "tags", "trigger", "limits", "initial", "actions"})


def _completed(node: Node, rule: Rule, texts: Mapping[str, Template | None], known: dict[str, Any]) -> Rule:
    """The rule with its version, made of the parts that it has in common with others."""
    spelt: list[str] = []
    said = {key: canonical(child, spelt) for key, child in node.value.items() if key != "tests"}
    parts: dict[str, Any] = {"version": _version(said, rule, texts)}
    for name, key in _IN_COMMON.items():
        as_said = f"{name}: {said.get(key)} {spelt}"  # what is said and spelt alike is alike
        if as_said not in known:
            known[as_said] = shared(getattr(rule, name), known)
        parts[name] = known[as_said]
    rule.with_parts(parts)
    as_said = f"terms: {in_braces({key: text for key, text in said.items() if key not in _NO_TERMS})} {spelt}"
    return rule.with_parts({"terms": known.setdefault(as_said, rule.own_terms())})


def _read_templates(files: Mapping[str, bytes], desk: Desk) -> dict[str, Template | None]:
    """The templates by name; None under the names of those that have mistakes."""
    found: dict[str, Template | None] = {}
    paths: dict[str, str] = {}
    for path in sorted(files):
        name = PurePath(path).stem
        if name in found:
            mend = f"rename it, `{paths[name]}` has that name already"
            desk.mistakes.append(Mistake(path, 1, 1, "is a second template of one name", name, mend))
            continue
        paths[name] = path
        documents, mistakes = read_documents(files[path], file=path)
        desk.mistakes += mistakes
        found[name] = None
        if len(documents) == 1 and not mistakes:
            found[name] = template_of(name, documents[0], desk)
        elif len(documents) > 1:
            second = documents[1]
            desk.wrong(second, "is a second document in one template file", "make it a file of its own")
        elif not documents and not mistakes:
            mend = "write texts by language, such as `ja: {title: ..., body: ...}`"
            desk.mistakes.append(Mistake(path, 1, 1, "the template is empty", None, mend))
    return found


def _version(said: Mapping[str, str], rule: Rule, texts: Mapping[str, Template | None]) -> str:
    """A short name of what a rule is and says: its tests, comments and the order of keys are no part of it."""
    used = {a.template for a in rule.actions if a.template is not None}
    words = {name: repr(template.digest) for name in used if (template := texts.get(name)) is not None}
    return h(in_braces({"rule": in_braces(said), "templates": in_braces(words)}))[:12]
