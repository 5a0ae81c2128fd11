"""What can only be judged when all files of a site are read: names that must exist, and what a rule must not do.

Owns those mistakes. Must not know YAML or how values are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geo.mistake import did_you_mean
from rules.check_texts import PlaceWords, check_rule_texts, check_text
from rules.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rules.model import Rule
    from rules.node import Node
    from rules.place import Place, PlaceRef
    from rules.shapes import Desk
    from rules.texts import Template


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
            check_rule_texts(desk, draft.node, draft.rule, templates, known.words)


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
        self.words = PlaceWords(places)
        self.hints_left = _HINTS_MAX
        self.keep_ms = keep_ms

    def look_up(self, desk: Desk, kind: str, node: Node, value: Any) -> None:
        """Note a mistake if a noted name does not exist, or a noted time is too long."""
        if kind == "place":
            ref: PlaceRef = value
            for how in ("id", "tag", "group"):
                wanted = getattr(ref, how)
                if wanted is not None:
                    self._must_exist(desk, node.get(how) or node, how, wanted, _PLACE_WORDS[how])
        elif kind == "by now":
            what, mend, at_key = value
            desk.wrong(node, what, mend, got=None if at_key else node.shown, key=at_key)
        elif kind == "text":
            check_text(desk, node, value, self.words)
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
        names = self.names[kind]
        if wanted in names:
            return
        # A near name costs a look at each name: with a file of places gone, that would be rules times places.
        self.hints_left -= len(names)
        desk.wrong(node, what, did_you_mean(wanted, names) if self.hints_left > 0 else "", got=wanted)


#: How many names are looked at, over all mistakes, to find the ones that were meant.
_HINTS_MAX = 1_000_000
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
    if any(part is not None and part.is_alias for part in (audience, everyone)):
        return
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
