"""What can only be judged when all files of a site are read: names that must exist, and what a rule must not do.

Owns those mistakes. Must not know YAML or how values are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geo.mistake import did_you_mean
from rules.facts import Kind
from rules.model import TRANSITIONS
from rules.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rules.model import Rule
    from rules.place import Place, PlaceRef
    from rules.reader import Node
    from rules.shapes import Desk
    from rules.texts import Field, Template


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule's document, and the rule, or None where it could not be read."""

    node: Node
    rule: Rule | None


def check(
    desk: Desk,
    drafts: Sequence[Draft],
    templates: Mapping[str, Template | None],
    *,
    places: Sequence[Place],
    channels: Collection[str],
    keep_ms: Mapping[str, int],
) -> None:
    """Note every mistake that shows when the parts of a site are held beside each other."""
    known = _Known(places, drafts, templates, channels, keep_ms)
    for kind, node, value in desk.noted:
        known.look_up(desk, kind, node, value)
    _unique_ids(desk, drafts)
    for draft in drafts:
        _asks_consent(desk, draft.node)
        _cap_tags(desk, draft.node, known.rule_tags)
        if draft.rule is not None:
            _fields(desk, draft, draft.rule, templates, places)


class _Known:
    """The names that exist in a site."""

    def __init__(
        self,
        places: Sequence[Place],
        drafts: Sequence[Draft],
        templates: Mapping[str, Any],
        channels: Collection[str],
        keep_ms: Mapping[str, int],
    ) -> None:
        self.names: dict[str, Collection[str]] = {
            "id": {place.id for place in places},
            "tag": {tag for place in places for tag in place.tags},
            "group": {place.group for place in places if place.group is not None},
            "template": templates,
            "channel": channels,
            "rule": {_text(draft.node, "id") for draft in drafts},
        }
        self.rule_tags = {tag for draft in drafts for tag in _tags(draft.node)}
        self.keep_ms = keep_ms

    def look_up(self, desk: Desk, kind: str, node: Node, value: Any) -> None:
        """Note a mistake if a noted name does not exist, or a noted time is too long."""
        if kind == "place":
            ref: PlaceRef = value
            for how in ("id", "tag", "group"):
                wanted = getattr(ref, how)
                if wanted is not None:
                    self._must_exist(desk, node.get(how) or node, how, wanted, _PLACE_WORDS[how])
        elif kind == "place id":
            self._must_exist(desk, node, "id", value, _PLACE_WORDS["id"])
        elif kind == "channel":
            if self.names["channel"] and value not in self.names["channel"]:
                desk.wrong(node, "is not a configured channel", did_you_mean(value, self.names["channel"]), key=True)
        elif kind == "within":
            kept = self.keep_ms.get("events")
            if kept is not None and value > kept:
                mend = f"shorten it, or raise `keep: {{events: {format_duration(kept)}}}` in nearcast.yaml"
                desk.wrong(node, f"is longer than events are kept, {format_duration(kept)}", mend, got=node.shown)
        else:
            self._must_exist(
                desk, node, kind, value, f"is the id of no {kind}" if kind == "rule" else "names no template"
            )

    def _must_exist(self, desk: Desk, node: Node, kind: str, wanted: str, what: str) -> None:
        if wanted not in self.names[kind]:
            desk.wrong(node, what, did_you_mean(wanted, self.names[kind]), got=wanted)


_PLACE_WORDS = {
    "id": "is the id of no place",
    "tag": "is a tag of no place",
    "group": "is the group of no place",
}


def _text(node: Node, key: str) -> str:
    child = node.get(key)
    return child.text if child is not None and child.is_scalar else ""


def _tags(node: Node) -> Iterable[str]:
    tags = node.get("tags")
    if tags is None:
        return ()
    return [child.text for child in tags.value if child.is_scalar] if tags.is_list else [tags.text]


def _unique_ids(desk: Desk, drafts: Sequence[Draft]) -> None:
    seen: dict[str, Node] = {}
    for draft in drafts:
        node = draft.node.get("id")
        if node is None or not node.is_scalar or not node.text:
            continue
        first = seen.setdefault(node.text, node)
        if first is not node:
            mend = f"rename one, the other is at {first.file}:{first.line}"
            desk.wrong(node, "is the id of two rules", mend, got=node.text)


def _asks_consent(desk: Desk, node: Node) -> None:
    """Every action messages a person, so every rule with one must ask for consent where nothing can go round it."""
    actions, audience = node.get("actions"), node.get("audience")
    if actions is None:
        return
    everyone = audience.get("all") if audience is not None else None
    if everyone is not None and everyone.is_list and any(clause.get("consent") for clause in everyone.value):
        return
    mend = "add `{consent: location_marketing}` to `audience: {all: [...]}`"
    desk.wrong(
        audience or actions, "messages people, and no `consent` in a top-level `all` is asked of them", mend, key=True
    )


def _cap_tags(desk: Desk, node: Node, known: Collection[str]) -> None:
    limits = node.get("limits")
    caps = limits.get("caps") if limits is not None else None
    for cap in caps.value if caps is not None and caps.is_list else ():
        tag = cap.get("tag")
        if _text(cap, "scope") == "tag" and tag is not None and tag.is_scalar and tag.text and tag.text not in known:
            desk.wrong(tag, "is a tag of no rule, so nothing would count", did_you_mean(tag.text, known), got=tag.text)


def _fields(
    desk: Desk, draft: Draft, rule: Rule, templates: Mapping[str, Template | None], places: Sequence[Place]
) -> None:
    """Fields that can never have a value in this rule: an event's without an event, free data that no place has."""
    near = _places_of(rule, places)
    happens = any(trigger.kind is Kind.EVENT for trigger in rule.triggers)
    actions = draft.node.get("actions")
    for action, node in zip(rule.actions, actions.value if actions is not None else (), strict=True):
        body = node.get(action.channel)
        template = templates.get(action.template) if action.template else action.own
        texts: list[tuple[str, Iterable[Field]]] = [
            ("template" if action.template else "body", template.fields if template else ())
        ]
        texts.append(("collapse_key", action.collapse_key.fields if action.collapse_key else ()))
        texts.append(
            ("data", [f for t in action.data.values() if not isinstance(t, bool | int | float) for f in t.fields])
        )
        for key, fields in texts:
            at = body.get(key) or body
            for wanted in dict.fromkeys(fields):
                if wanted.root == "event" and not happens:
                    desk.wrong(at, f"uses `{{{wanted}}}`, but no trigger of the rule is an event", "remove it")
                elif wanted.root == "place" and wanted.data and near and not _some_has(near, wanted):
                    mend = did_you_mean(f"place.{_head(wanted)}", _place_words(near))
                    desk.wrong(at, f"uses `{{{wanted}}}`, which no place of the rule has", mend)


def _places_of(rule: Rule, places: Sequence[Place]) -> list[Place]:
    """The places at which a rule's occasions can be."""
    found = [
        place
        for place in places
        if any(
            trigger.meets(place)
            if trigger.kind in TRANSITIONS
            else trigger.inside is not None and trigger.inside.covers(place)
            for trigger in rule.triggers
        )
    ]
    return found or list(places)


def _head(wanted: Field) -> str:
    return wanted.name.partition(".")[0]


def _some_has(places: Iterable[Place], wanted: Field) -> bool:
    return any(wanted.name in place.data or _head(wanted) in place.data for place in places)


def _place_words(places: Iterable[Place]) -> set[str]:
    own = {"place.id", "place.name", "place.group"}
    return own | {f"place.{key}" for place in places for key in place.data}
