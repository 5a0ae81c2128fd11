"""What a file may hold, said once: a shape reads nodes into values, notes mistakes, and tells its JSON Schema.

Owns mappings with known keys, lists, tables, choices. Scalars are in `scalars.py`. Must not know any real key.
So a reader and the schema that editors use cannot drift apart.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from geo.mistake import Mistake, did_you_mean
from rules.reader import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rules.node import Node

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(slots=True)
class Desk:
    """Where the mistakes of a reading are gathered, and what can only be judged when all files are read.

    `noted` holds (kind, node, value): names that shapes met and that somebody must look up afterwards.
    """

    mistakes: list[Mistake] = field(default_factory=list)
    noted: list[tuple[str, Node, Any]] = field(default_factory=list)

    def wrong(self, node: Node, what: str, mend: str = "", *, got: str | None = None, key: bool = False) -> None:
        """Note a mistake. `what` follows the node's path; `key` points at its key instead of its value."""
        if node.is_alias and not key:
            return  # one mistake, one line
        # Where nothing is written, the parser's position is that of what comes after.
        at_key = key or (node.value is None and not node.text)
        line, column = (node.key_line, node.key_column) if at_key else (node.line, node.column)
        path = one_line(node.path)
        what = one_line(f"`{path}` {what}" if path else what, 600)
        shown = None if got is None else one_line(got)
        self.mistakes.append(Mistake(node.file, line, column, what, shown, one_line(mend, 600)))

    def needs(self, node: Node, what: str, mend: str = "") -> None:
        """Note that something else was needed here."""
        self.wrong(node, f"needs {what}", mend, got=node.shown)

    def wrong_by_now(self, node: Node, what: str, mend: str = "", *, key: bool = False) -> None:
        """Note what earlier versions let pass: a mistake, unless the site was in force already."""
        self.note("by now", node, (what, mend, key))

    def note(self, kind: str, node: Node, value: Any) -> None:
        """Leave a name to be looked up when everything is known."""
        self.noted.append((kind, node, value))


class Shape(ABC, Generic[T]):
    """What a node may be. `read` gives the value, or None after noting why not."""

    @abstractmethod
    def read(self, node: Node, desk: Desk) -> T | None:
        """The value of a node, or None when a mistake was noted."""

    @abstractmethod
    def schema(self) -> Json:
        """The JSON Schema (2020-12) of the same."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping: what may stand under it, and what it means."""

    shape: Shape[Any]
    doc: str
    required: bool = False


@dataclass(slots=True)
class Record:
    """A mapping that was read: its values by key, its nodes, and whether all of it was understood."""

    node: Node
    desk: Desk
    values: dict[str, Any]
    complete: bool = True

    def get(self, name: str, default: Any = None) -> Any:
        """The value under a key, or `default` where there is none."""
        return self.values.get(name, default)

    def at(self, name: str) -> Node:
        """The node under a key, else the mapping's own: where to point at."""
        return self.node.get(name) or self.node

    def has(self, name: str) -> bool:
        """True if the file has this key, understood or not."""
        return self.node.get(name) is not None

    def wrong(self, name: str, what: str, mend: str = "", *, got: str | None = None) -> None:
        """Note a mistake at a key's value (at the mapping if the key is missing); what was read is then worthless."""
        self.desk.wrong(self.at(name), what, mend, got=got)
        self.complete = False


class Fields(Shape[T]):
    """A mapping with known keys. `what` names it in messages ("a rule"); `build` makes the value from its record.

    `build` is called when every key was understood; with `always` also when not, for checks over several keys. What it
    returns then is dropped.
    """

    def __init__(
        self,
        what: str,
        keys: Mapping[str, Key],
        build: Callable[[Record], T | None],
        *,
        always: bool = False,
        doc: str = "",
    ) -> None:
        self.what = what
        self.keys = keys
        self.build = build
        self.always = always
        self.doc = doc
        self._shapes = {name: key.shape for name, key in keys.items()}
        self._required = [name for name, key in keys.items() if key.required]

    def read(self, node: Node, desk: Desk) -> T | None:
        if not node.is_mapping:
            desk.needs(
                node, "a mapping of keys to values" if node.path else f"{self.what}: a mapping of keys to values"
            )
            return None
        record = Record(node, desk, {})
        slips = self._read_keys(record)
        for name in self._required:
            if name not in node.value:
                record.complete = False
                # One mistake, one line: a missing key that was misspelt has its line already.
                if f"did you mean `{name}`?" not in slips:
                    what = f"needs `{name}`" if node.path else f"{self.what} needs `{name}`"
                    desk.wrong(node, what, f"add `{name}:`")
        if not record.complete and not self.always:
            return None
        built = self.build(record)
        return built if record.complete else None

    def _read_keys(self, record: Record) -> set[str]:
        """Read what stands under each known key; returns how the unknown ones were mended."""
        slips: set[str] = set()
        desk, values, shapes = record.desk, record.values, self._shapes
        for name, child in record.node.value.items():
            shape = shapes.get(name)
            value = None
            if shape is None:
                mend = did_you_mean(name, self.keys)
                slips.add(mend)
                desk.wrong(child, "is not a known key", mend, key=True)
            else:
                value = shape.read(child, desk)
            if value is None:
                record.complete = False
            else:
                values[name] = value
        return slips

    def schema(self) -> Json:
        found: Json = {
            "type": "object",
            "properties": {name: {"description": key.doc} | key.shape.schema() for name, key in self.keys.items()},
            "additionalProperties": False,
        }
        required = [name for name, key in self.keys.items() if key.required]
        return found | ({"required": required} if required else {}) | ({"description": self.doc} if self.doc else {})


class Listing(Shape[list[T]]):
    """A list of one kind of thing, with at least `least` and at most `most` of them."""

    def __init__(self, item: Shape[T], *, least: int = 1, most: int = 10_000) -> None:
        self.item = item
        self.least = least
        self.most = most

    def read(self, node: Node, desk: Desk) -> list[T] | None:
        if not node.is_list:
            desk.needs(
                node, "a list", f"write `[{node.text}]`" if node.is_scalar and node.text else "write `- ` before each"
            )
            return None
        if not self.least <= len(node.value) <= self.most:
            few = len(node.value) < self.least
            bound = f"at least {self.least}" if few else f"at most {self.most}"
            entries = "entry" if bound.endswith(" 1") else "entries"
            desk.wrong(node, f"needs {bound} {entries}", got=f"{len(node.value)} of them" if node.value else "[]")
            return None
        read = self.item.read
        values = [value for child in node.value if (value := read(child, desk)) is not None]
        return values if len(values) == len(node.value) else None

    def schema(self) -> Json:
        return {"type": "array", "items": self.item.schema(), "minItems": self.least, "maxItems": self.most}


class OneOrMore(Shape[list[T]]):
    """One thing, or a list of such things."""

    def __init__(self, item: Shape[T], *, most: int = 1_000) -> None:
        self.item = item
        self.list = Listing(item, most=most)

    def read(self, node: Node, desk: Desk) -> list[T] | None:
        if node.is_list:
            return self.list.read(node, desk)
        value = self.item.read(node, desk)
        return None if value is None else [value]

    def schema(self) -> Json:
        return {"anyOf": [self.item.schema(), self.list.schema()]}


class Table(Shape[dict[str, T]]):
    """A mapping whose keys the author names. `pattern` is what a key must look like, `example` shows one."""

    def __init__(self, item: Shape[T], *, pattern: str, example: str, least: int = 0, most: int | None = None) -> None:
        self.item = item
        self.pattern = pattern
        self.example = example
        self.least = least
        self.most = most
        self._match = re.compile(pattern)

    def read(self, node: Node, desk: Desk) -> dict[str, T] | None:
        if not node.is_mapping:
            desk.needs(node, "a mapping of keys to values")
            return None
        found: dict[str, T] = {}
        if len(node.value) < self.least:
            desk.wrong(node, "needs at least one key", f"such as `{self.example}`", got=node.shown)
            return None
        if self.most is not None and len(node.value) > self.most:
            mend = "make each an entry of its own"
            desk.wrong(
                list(node.value.values())[self.most],
                f"is one key too many, only {self.most} may stand here",
                mend,
                key=True,
            )
            return None
        good = True
        for name, child in node.value.items():
            if not self._match.search(name):
                hyphened = name.replace("_", "-")
                likely = hyphened if self._match.search(hyphened) else self.example
                desk.wrong(child, "is not a possible key here", f"write it as `{likely}`", key=True)
                good = False
            value = self.item.read(child, desk)
            if value is not None:
                found[name] = value
        return found if good and len(found) == len(node.value) else None

    def schema(self) -> Json:
        return {
            "type": "object",
            "additionalProperties": self.item.schema(),
            "propertyNames": {"pattern": self.pattern},
            "minProperties": self.least,
        } | ({} if self.most is None else {"maxProperties": self.most})


class Cases(Shape[T]):
    """A mapping that is one of several, told apart by the one key that each must have and no other has.

    `{consent: x}` and `{attribute: y, in: [...]}` are two cases of a clause.
    """

    def __init__(self, what: str, cases: Mapping[str, Fields[Any]]) -> None:
        self.what = what
        self.cases = cases
        self._one_of = "one of " + ", ".join(f"`{name}`" for name in cases)

    def read(self, node: Node, desk: Desk) -> T | None:
        if not node.is_mapping:
            desk.needs(node, f"{self.what} with {self._one_of}")
            return None
        heads = [name for name in node.value if name in self.cases]
        if len(heads) == 1:
            value: T | None = self.cases[heads[0]].read(node, desk)
            return value
        if heads:
            mend = f"keep one, put the others into {self.what} of their own"
            desk.wrong(node.value[heads[1]], f"cannot stand beside `{heads[0]}`", mend, key=True)
        elif node.value:
            name, child = next(iter(node.value.items()))
            desk.wrong(child, f"does not begin {self.what}", did_you_mean(name, self.cases), key=True)
        else:
            desk.needs(node, f"{self.what} with {self._one_of}")
        return None

    def schema(self) -> Json:
        return {"oneOf": [case.schema() for case in self.cases.values()]}


class Either(Shape[T]):
    """One shape for scalars, another for mappings and lists: `cooldown: none`, or `cooldown: {...}`.

    `words` are the scalars; `example` shows the other.
    """

    def __init__(self, words: Sequence[str], other: Shape[Any], *, example: str) -> None:
        self.words = tuple(words)
        self.other = other
        self.example = example

    def read(self, node: Node, desk: Desk) -> Any:
        if not node.is_scalar:
            return self.other.read(node, desk)
        if node.text in self.words:
            return node.text
        desk.needs(node, " or ".join(f"`{word}`" for word in self.words) + f", or a mapping such as `{self.example}`")
        return None

    def schema(self) -> Json:
        return {"anyOf": [{"enum": list(self.words)}, self.other.schema()]}


class Again(Shape[T]):
    """A shape that stands within itself, by its name in the schema's `$defs`."""

    def __init__(self, name: str, shape: Callable[[], Shape[T]]) -> None:
        self.name = name
        self.shape = shape

    def read(self, node: Node, desk: Desk) -> T | None:
        return self.shape().read(node, desk)

    def schema(self) -> Json:
        return {"$ref": f"#/$defs/{self.name}"}


class Noted(Shape[T]):
    """A shape whose value is also left on the desk under `kind`, to be looked up when everything is known."""

    def __init__(self, kind: str, shape: Shape[T]) -> None:
        self.kind = kind
        self.shape = shape

    def read(self, node: Node, desk: Desk) -> T | None:
        value = self.shape.read(node, desk)
        if value is not None:
            desk.note(self.kind, node, value)
        return value

    def schema(self) -> Json:
        return self.shape.schema()
