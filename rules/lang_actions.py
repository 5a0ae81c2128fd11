"""The keys of actions and of template files, and how they become an `Action` and a `Template`.

Owns their notation. Must not know which channels or templates exist: names are noted, and looked up afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from rules.content import canonical
from rules.ids import h
from rules.model import TTL_MS, Action
from rules.scalars import NAME, Duration, Flag, Number, Word, name
from rules.scalars import Text as PlainText
from rules.shapes import Fields, Key, Noted, Shape, Table
from rules.texts import Template, Text, TextError, Words
from rules.units import DAY_MS

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Desk, Json, Record

T = TypeVar("T")
#: The language of texts written in a rule itself: undetermined, as BCP 47 has it.
UNDETERMINED = "und"
TTL_MAX_MS = 28 * DAY_MS
DELIVERY = Word("at_least_once", "at_most_once")


class Rendered(Shape[Text]):
    """A text with `{place.name}`-style fields."""

    def __init__(self, *, empty: bool = False, most: int = 4000) -> None:
        self.text = PlainText(most=most, empty=empty)

    def read(self, node: Node, desk: Desk) -> Text | None:
        if node.is_mapping and [child.text or child.value for child in node.value.values()] == [None]:
            (name,) = node.value
            desk.wrong(node, "needs a text", "put it in quotes, with all that belongs to it", got=f"{{{name}}}")
            return None
        source = self.text.read(node, desk)
        if source is None:
            return None
        try:
            text = Text.of(source)
        except TextError as error:
            desk.wrong(node, error.what, error.mend, got=error.got)
            return None
        desk.note("text", node, text)
        return text

    def schema(self) -> Json:
        return self.text.schema()


class _Datum(Shape[Any]):
    """A value of an action's `data`: a text with fields, a number, or `true` or `false`."""

    def read(self, node: Node, desk: Desk) -> Any:
        shape: Shape[Any] = _RENDERED
        if isinstance(node.value, bool):
            shape = _FLAG
        elif isinstance(node.value, int | float):
            shape = _NUMBER
        return shape.read(node, desk)

    def schema(self) -> Json:
        return {"type": ["string", "number", "boolean"]}


_RENDERED, _FLAG, _NUMBER = Rendered(empty=True), Flag(), Number()
_TITLE = Key(_RENDERED, "the title, with fields such as `{place.name}`")
_BODY = Key(Rendered(), "the text, with fields such as `{place.name}`", required=True)

#: The keys below a channel's name.
ACTION_KEYS = {
    "template": Key(Noted("template", name("timesale")), "the template that has the texts: `templates/NAME.yaml`"),
    "title": Key(_TITLE.shape, "instead of a template: the title, in one language for all"),
    "body": Key(_BODY.shape, "instead of a template: the text, in one language for all"),
    "ttl": Key(
        Duration("30m", least=1000, most=TTL_MAX_MS),
        "how long the message is of use, from the decision; `1h` by default",
    ),
    "collapse_key": Key(Rendered(most=64), "messages with the same key replace each other on the phone"),
    "data": Key(Table(_Datum(), pattern=r"^.{1,128}$", example="place"), "data for the app; texts may hold fields"),
    "delivery": Key(DELIVERY, "`at_least_once` or `at_most_once`; the rule's by default"),
}


def _body(record: Record) -> Action | None:
    if record.has("template"):
        for key in ("title", "body"):
            if record.has(key):
                record.wrong(key, "cannot stand beside `template`", "remove one of them")
    elif not record.has("body"):
        record.wrong("", "needs `template`, or `title` and `body`", "name a template", got=record.node.shown)
    own = None
    if record.has("body") and record.complete:
        words = Words(record.get("title", Text(())), record.get("body"))
        own = Template("", {UNDETERMINED: words})
    return Action(
        "",
        record.get("template"),
        own,
        ttl_ms=record.get("ttl", TTL_MS),
        collapse_key=record.get("collapse_key"),
        data=record.get("data", {}),
        delivery=record.get("delivery"),
    )


_ACTION: Fields[Action] = Fields("an action", ACTION_KEYS, _body, always=True)


def _is_flat(node: Node) -> bool:
    """True if what belongs below the channel's name stands beside it."""
    channel, *others = node.value.values() or [None]
    return bool(others) and channel.value is None and all(child.name in ACTION_KEYS for child in others)


class OneAction(Shape[Action]):
    """`{CHANNEL: {...}}`: one channel, and what to send through it."""

    def __init__(self) -> None:
        self.table = Table(_ACTION, pattern=NAME, example="push", least=1, most=1)

    def read(self, node: Node, desk: Desk) -> Action | None:
        if node.is_mapping and _is_flat(node):
            channel, misplaced, *_ = node.value
            mend = f"indent it, and what belongs to it, farther than `{channel}:`"
            desk.wrong(node.value[misplaced], f"stands beside `{channel}`, not below it", mend, key=True)
            return None
        found = self.table.read(node, desk)
        if not found:
            return None
        ((channel, action),) = found.items()
        body = node.value[channel]
        desk.note("channel", body, channel)
        return replace(action, channel=channel)

    def schema(self) -> Json:
        return self.table.schema()


_WORDS: Fields[Words] = Fields(
    "texts", {"title": _TITLE, "body": _BODY}, lambda record: Words(record.get("title", Text(())), record.get("body"))
)
TEMPLATE_FILE: Table[Words] = Table(_WORDS, pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", example="ja", least=1)


def template_of(name: str, node: Node, desk: Desk) -> Template | None:
    """The template of one file's document, or None after noting why not."""
    if not node.is_mapping or not node.value:
        desk.needs(node, "texts by language, such as `ja: {title: ..., body: ...}`")
        return None
    words = TEMPLATE_FILE.read(node, desk)
    first: dict[str, str] = {}
    for language, child in node.value.items():
        known = first.setdefault(language.lower(), language)
        if known != language:
            mend = f"keep one of them, `{known}` is on line {node.value[known].key_line}"
            desk.wrong_by_now(child, "is a language that is here already", mend, key=True)
    return None if words is None else Template(name, words, digest=h(canonical(node, [])))
