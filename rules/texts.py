"""The texts of messages: `{place.name}` is replaced by what it names, and nothing else is ever computed.

Owns the notation, the list of fields, and the choice of a language. Must not know files or channels. What is put in is
never read again, so no value can name another field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from geo.mistake import did_you_mean
from rules.audience import attribute
from rules.zones import clock_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from rules.facts import Occasion, User

#: What may stand between braces. `place.X` and `event.X` with any other X mean `place.data.X` and `event.data.X`.
FIELDS: Final = {
    "place.id": "the place's id",
    "place.name": "the place's name",
    "place.group": "the place's group",
    "place.data.X": "the author's free data of the place, also as `place.X`; dots lead into nested objects",
    "user.id": "the user's id",
    "user.locale": "the user's locale",
    "user.attributes.X": "an attribute of the user; dots lead into nested objects",
    "event.type": "the event's type",
    "event.id": "the event's id",
    "event.data.X": "the event's data, also as `event.X`; dots lead into nested objects",
    "occasion.kind": "`entered`, `dwelled`, `exited`, `crossed`, `timer`, or the event's type",
    "occasion.time": "the local time of the occasion, such as `17:10`",
    "occasion.date": "its local date, such as `2026-11-25`",
    "rule.id": "the rule's id",
}

_SPLIT = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_NAME = re.compile(r"[a-z]+(?:\.[\w-]+)+")
_MUSTACHE = re.compile(r"(?<!\{)\{\{\s*([a-z]+\.[\w.-]+)\s*\}\}(?!\})")
_OWN: Final = {
    "place": frozenset({"id", "name", "group"}),
    "event": frozenset({"type", "id"}),
    "user": frozenset({"id", "locale"}),
    "occasion": frozenset({"kind", "time", "date"}),
    "rule": frozenset({"id"}),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One `{name}`: its root, and the path below it. `data` paths lead into free data or attributes.

    `written` is how the author wrote it.
    """

    root: str
    name: str
    data: bool = False
    written: str = field(default="", compare=False, repr=False)
    read: Callable[[Values], Any] = field(init=False, compare=False, repr=False)
    """Finds what it stands for; None where it is missing."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", _reader(self))

    def __str__(self) -> str:
        return self.written


@dataclass(frozen=True, slots=True)
class Text:
    """A text cut into what stays and what is replaced.

    >>> Text.of("Hello {user.id}, {{braces}} stay").parts
    ('Hello ', Field(root='user', name='id', data=False), ', {braces} stay')
    """

    parts: tuple[str | Field, ...]
    _whole: str | None = field(init=False, compare=False, repr=False)
    """The text, if nothing in it is replaced."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_whole", None if self.fields else "".join(map(str, self.parts)))

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(p for p in self.parts if isinstance(p, Field))

    @classmethod
    def of(cls, source: str) -> Text:
        """Cut a source text.

        Raises `TextError` for a lone brace or an unknown field.
        """
        mustache = _MUSTACHE.search(source)
        if mustache and mustache[1].partition(".")[0] in _OWN:
            raise TextError("doubled braces mean a literal brace", mustache[0], _singly(mustache[1]))
        parts: list[str | Field] = []
        for piece in _SPLIT.split(source):
            if piece in ("{", "}"):
                raise TextError("has a lone brace", piece, f"write `{piece * 2}` for a literal one")
            if piece.startswith("{") and piece != "{{":
                parts.append(parse_field(piece[1:-1]))
                continue
            plain = piece[:1] if piece in ("{{", "}}") else piece
            if parts and isinstance(parts[-1], str):
                parts[-1] += plain
            elif plain:
                parts.append(plain)
        return cls(tuple(parts))

    def render(self, values: Values) -> str:
        """The text with every field replaced; a missing value is an empty text."""
        if self._whole is not None:
            return self._whole
        return "".join([p if isinstance(p, str) else as_text(p.read(values)) for p in self.parts])


class TextError(ValueError):
    """A text that cannot be cut: what is wrong, what came, how to mend it."""

    def __init__(self, what: str, got: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.got = got
        self.mend = mend


def parse_field(name: str) -> Field:
    """The field of a name.

    Raises `TextError` when there is none.

    >>> parse_field("place.floor")
    Field(root='place', name='floor', data=True)
    """
    root, _, rest = name.partition(".")
    what, got = "names an unknown field", f"{{{name}}}"
    if not _NAME.fullmatch(name) or root not in _OWN:
        mend = f"write `{{{name.strip()}}}`" if name != name.strip() and _NAME.fullmatch(name.strip()) else ""
        raise TextError(what, got, mend or _near(name))
    if rest in _OWN[root]:
        return Field(root, rest, written=name)
    free = "attributes." if root == "user" else "data."
    if root in ("place", "event", "user") and rest.startswith(free) and len(rest) > len(free):
        return Field(root, rest[len(free) :], data=True, written=name)
    if root in ("place", "event") and rest != "data":
        return Field(root, rest, data=True, written=name)
    raise TextError(what, got, f"did you mean `user.attributes.{rest}`?" if root == "user" else _near(name))


def _singly(name: str) -> str:
    """The mend for what stands in doubled braces: what is a field in single ones."""
    root, _, rest = name.partition(".")
    try:
        return f"write `{{{parse_field(name).written}}}`"
    except TextError as error:
        return f"write `{{user.attributes.{rest}}}`" if root == "user" and _NAME.fullmatch(name) else error.mend


def _near(name: str) -> str:
    ends = [known for known in FIELDS if known.endswith(f".{name}")]
    return f"did you mean `{ends[0]}`?" if ends else did_you_mean(name, FIELDS)


@dataclass(frozen=True, slots=True)
class Words:
    """Title and body in one language."""

    title: Text
    body: Text


@dataclass(frozen=True, slots=True)
class Template:
    """A message's texts by language, in the author's order. `digest` names its content."""

    name: str
    words: dict[str, Words]
    digest: str = ""
    _first: str = field(init=False, compare=False, repr=False)
    _by_key: dict[str, str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first", next(iter(self.words), ""))
        object.__setattr__(self, "_by_key", {key.lower(): key for key in reversed(self.words)})

    def choose(self, locale: str | None) -> str:
        """The language for a user's locale: itself, else its language part (`ja-JP`: `ja`), else the first one.

        >>> words = Words(Text(()), Text(()))
        >>> Template("t", {"ja": words, "en": words}).choose("en_GB")
        'en'
        """
        wanted = locale.replace("_", "-").lower() if isinstance(locale, str) else ""
        while wanted:
            if wanted in self._by_key:
                return self._by_key[wanted]
            wanted = wanted.rpartition("-")[0]
        return self._first

    @property
    def fields(self) -> tuple[Field, ...]:
        return tuple(f for words in self.words.values() for f in (*words.title.fields, *words.body.fields))


class Values(msgspec.Struct, gc=False):
    """What fields stand for on one occasion. `zone` is where its local time is told.

    `rule_named` tells whether a text asked for the rule: what was rendered is no other's then.
    """

    occasion: Occasion
    user: User
    rule: str
    zone: ZoneInfo
    rule_named: bool = False

    def name_rule(self) -> str:
        """The rule's id, for a text."""
        self.rule_named = True
        return self.rule


def _reader(wanted: Field) -> Callable[[Values], Any]:
    """How the value of a field is found."""
    name = wanted.name
    if wanted.root == "user":
        return (lambda v: attribute(v.user.attributes, name)) if wanted.data else (lambda v: getattr(v.user, name))
    if wanted.root == "place":
        if wanted.data:
            return lambda v: None if v.occasion.place is None else attribute(v.occasion.place.data, name)
        return lambda v: getattr(v.occasion.place, name, None)
    if wanted.root == "event":
        if wanted.data:
            return lambda v: attribute(v.occasion.data, name)
        return attrgetter(f"occasion.event_{name}")
    if wanted.root == "rule":
        return Values.name_rule
    if name == "kind":
        return attrgetter("occasion.kind_name")
    shown = slice(11, 16) if name == "time" else slice(10)
    return lambda v: clock_text(v.occasion.time_ms, v.zone)[shown]


def as_text(value: Any) -> str:
    """A value as people read it: lists by commas, whole floats without their point, anything else nested left out.

    >>> as_text(["a", 2.0, True, None, {}])
    'a, 2, true, , '
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**40 else ""
    if isinstance(value, list):
        return ", ".join(as_text(v) for v in value if not isinstance(v, list))
    return ""
