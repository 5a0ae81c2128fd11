"""Fields of texts that can never have a value: free data that no place has, an event's data without an event.

Owns those mistakes. Must not know how texts are cut.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from geo.mistake import did_you_mean
from rules.facts import Kind
from rules.texts import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rules.model import Action, Rule
    from rules.node import Node
    from rules.place import Place, PlaceRef
    from rules.shapes import Desk
    from rules.texts import Field, Template

_OWN = ("place.id", "place.name", "place.group")


class PlaceWords:
    """Which free data the places have: of all of them, and of those that a rule points at."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = places

    @cached_property
    def all(self) -> frozenset[str]:
        """The data of all places."""
        return frozenset(path for place in self._places for path in _paths(place.data))

    @cached_property
    def _of(self) -> dict[tuple[str, str], set[str]]:
        """The data of the places by each way to name them; few sites have a text that asks."""
        found: dict[tuple[str, str], set[str]] = {}
        for place in self._places:
            names = [("id", place.id), *(("tag", tag) for tag in place.tags)]
            for name in names if place.group is None else [*names, ("group", place.group)]:
                found.setdefault(name, set()).update(_paths(place.data))
        return found

    def of(self, rule: Rule) -> Collection[str]:
        """The data of the places at which a rule's occasions can be; of all where it names none."""
        refs = [ref for trigger in rule.triggers for ref in (trigger.place, trigger.inside) if ref is not None]
        if not refs or any(t.place is None and t.kind is not Kind.TIMER for t in rule.triggers):
            return self.all
        return set().union(*(self._of.get(_name(ref), ()) for ref in refs))


def _name(ref: PlaceRef) -> tuple[str, str]:
    if ref.id is not None:
        return "id", ref.id
    return ("tag", ref.tag) if ref.tag is not None else ("group", ref.group or "")


def _paths(data: Mapping[str, Any]) -> Iterator[str]:
    """Each name in free data, and each path that leads farther."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [("", data)]
    while waiting:
        before, inner = waiting.pop()
        for word, value in inner.items():
            yield before + word
            if isinstance(value, dict):
                waiting.append((f"{before}{word}.", value))


def check_text(desk: Desk, node: Node, text: Text, words: PlaceWords) -> None:
    """Note the fields of a text that no place at all can fill."""
    for wanted in dict.fromkeys(text.fields):
        if wanted.root == "place" and wanted.data and words.all and wanted.name not in words.all:
            _no_such_data(desk, node, wanted, words.all, "no place has")


def check_rule_texts(
    desk: Desk, node: Node, rule: Rule, templates: Mapping[str, Template | None], words: PlaceWords
) -> None:
    """Note the fields that this rule cannot fill, whatever others can. `node` is the rule's document."""
    happens = any(trigger.kind is Kind.EVENT for trigger in rule.triggers)
    near: Collection[str] | None = None
    actions = node.get("actions")
    for action, entry in zip(rule.actions, actions.value if actions is not None else (), strict=True):
        body = entry.value[action.channel]
        for key, wanted in dict.fromkeys(fields_of(action, templates)):
            at = body.get(key) or body
            if wanted.root == "event" and not happens:
                desk.wrong(at, f"uses `{{{wanted}}}`, but no trigger of the rule is an event", "remove it")
            elif wanted.root == "place" and wanted.data and wanted.name in words.all:
                near = words.of(rule) if near is None else near
                if wanted.name not in near:
                    _no_such_data(desk, at, wanted, near, "no place of the rule has")


def fields_of(action: Action, templates: Mapping[str, Template | None]) -> Iterator[tuple[str, Field]]:
    """Every field that an action uses, with the key of the action under which it does."""
    template = templates.get(action.template) if action.template else None
    for wanted in template.fields if template else ():
        yield "template", wanted
    for words in action.own.words.values() if action.own else ():
        yield from (("title", wanted) for wanted in words.title.fields)
        yield from (("body", wanted) for wanted in words.body.fields)
    for wanted in action.collapse_key.fields if action.collapse_key else ():
        yield "collapse_key", wanted
    for text in action.data.values():
        for wanted in text.fields if isinstance(text, Text) else ():
            yield "data", wanted


def _no_such_data(desk: Desk, node: Node, wanted: Field, words: Iterable[str], what: str) -> None:
    known = [*_OWN, *(f"place.{word}" for word in words)]
    desk.wrong(node, f"uses `{{{wanted}}}`, which {what}", did_you_mean(f"place.{wanted.name}", known))
