"""The scalars that files hold: texts, words, numbers, durations, distances, times, zones.

Owns how each is named in a message and how a near miss is mended. Must not know any real key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from geo.mistake import did_you_mean
from rules import units
from rules.shapes import Shape
from rules.zones import zone, zone_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import date, datetime

    from rules.node import Node, Scalar
    from rules.shapes import Desk, Json

T = TypeVar("T")
_LIKE_A_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_PADDED = re.compile(r"(?:\+|-?0(?=[0-9]))[0-9]{1,18}(?:\.[0-9]{1,18})?")
#: A duration of more digits than any has.
_ENDLESS = re.compile(r"[0-9]{13,}(?:ms|s|m|h|d)")
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._:@/+-]{0,126}[A-Za-z0-9_@/+-])?$"
_NAME_FORM = "use `A-Z`, `a-z`, `0-9` and `._:@/+-`, a letter or digit first, no `.` or `:` last"


class Text(Shape[str]):
    """A text. Whole numbers count as the text they were written as: `id: 0x11` is "0x11".

    `form` says what `pattern` asks for.
    """

    def __init__(
        self, *, pattern: str = "", form: str = "", example: str = "", most: int = 10_000, empty: bool = False
    ) -> None:
        self.pattern = pattern
        self.form = form
        self.example = example
        self.most = most
        self.empty = empty
        self._match = re.compile(pattern)

    def read(self, node: Node, desk: Desk) -> str | None:
        whole = isinstance(node.value, int) and not isinstance(node.value, bool)
        text = node.text if whole else node.value
        if not isinstance(text, str):
            quotable = node.is_scalar and node.value is not None
            desk.needs(node, "a text", "put it in quotes" if quotable else "")
        elif not text.strip() and not self.empty:
            desk.wrong(node, "needs a text that is not empty")
        elif len(text) > self.most:
            desk.wrong(node, f"is longer than {self.most:,} characters", got=f"{len(text):,} characters")
        elif not self._match.search(text):
            desk.needs(node, f"a text such as `{self.example}`", self.form)
        else:
            return text
        return None

    def schema(self) -> Json:
        least = {} if self.empty else {"minLength": 1}
        pattern = {"pattern": self.pattern} if self.pattern else {} if self.empty else {"pattern": r"\S"}
        positive = {} if self._match.search("-1") else {"minimum": 0}
        return {"type": ["string", "integer"], "maxLength": self.most} | least | pattern | positive


def name(example: str) -> Text:
    """An id or another name without spaces."""
    return Text(pattern=NAME, form=_NAME_FORM, example=example, most=128)


class Word(Shape[str]):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, node: Node, desk: Desk) -> str | None:
        if node.is_scalar and node.text in self.words:
            return node.text
        if isinstance(node.value, str):
            lower = node.value.lower()
            mend = f"write `{lower}`" if lower in self.words else did_you_mean(node.value, self.words)
            desk.wrong(node, "is not a word that is known here", mend, got=node.shown)
        else:
            desk.needs(node, "one of " + ", ".join(f"`{w}`" for w in self.words))
        return None

    def schema(self) -> Json:
        return {"enum": list(self.words)}


class WordOr(Shape[T], Generic[T]):
    """One of a few words, or else another scalar."""

    def __init__(self, other: Shape[T], *words: str) -> None:
        self.other = other
        self.words = words

    def read(self, node: Node, desk: Desk) -> Any:
        return node.text if node.is_scalar and node.text in self.words else self.other.read(node, desk)

    def schema(self) -> Json:
        return {"anyOf": [{"enum": list(self.words)}, self.other.schema()]}


class Flag(Shape[bool]):
    """`true` or `false`."""

    def read(self, node: Node, desk: Desk) -> bool | None:
        if isinstance(node.value, bool):
            return node.value
        desk.needs(node, "`true` or `false`")
        return None

    def schema(self) -> Json:
        return {"type": "boolean"}


class Number(Shape[float]):
    """A number, in range. Whole numbers stay ints."""

    def __init__(self, least: float = -1e15, most: float = 1e15) -> None:
        self.least = least
        self.most = most

    def read(self, node: Node, desk: Desk) -> float | None:
        value = _meant(node.value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            desk.needs(node, "a number", _number_mend(value))
        elif not self.least <= value <= self.most:
            desk.needs(node, f"a number from {self.least:g} to {self.most:g}")
        else:
            return value
        return None

    def schema(self) -> Json:
        return {"type": "number", "minimum": self.least, "maximum": self.most}


class Whole(Shape[int]):
    """A whole number, in range."""

    def __init__(self, least: int, most: int = 1_000_000_000) -> None:
        self.least = least
        self.most = most

    def read(self, node: Node, desk: Desk) -> int | None:
        value = _meant(node.value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            desk.needs(node, "a whole number", _number_mend(value))
        elif not self.least <= value <= self.most:
            desk.needs(node, f"a whole number from {self.least} to {self.most}")
        else:
            return value
        return None

    def schema(self) -> Json:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Plain(Shape[Any]):
    """A text, a number, or `true` or `false`: what values are compared with."""

    def read(self, node: Node, desk: Desk) -> Scalar:
        if node.is_scalar and node.value is not None:
            value: Scalar = node.value
            return value
        desk.needs(node, "a text, a number, `true` or `false`")
        return None

    def schema(self) -> Json:
        return {"type": ["string", "number", "boolean"]}


class Anything(Shape[Any]):
    """Any value at all, except nothing."""

    def read(self, node: Node, desk: Desk) -> Any:
        if node.value is None:
            desk.needs(node, "a value")
        return node.plain()

    def schema(self) -> Json:
        return {"not": {"type": "null"}}


class Quantity(Shape[T], Generic[T]):
    """A text in one of the notations of `units.py`."""

    def __init__(
        self, what: str, example: str, pattern: str, parse: Callable[[str], T | None], mend: str, *, form: str = ""
    ) -> None:
        self.what = what
        self.example = example
        self.pattern = pattern
        self.parse = parse
        self.mend = mend
        self.form = form

    def read(self, node: Node, desk: Desk) -> T | None:
        value = self.parse(node.value) if isinstance(node.value, str) else None
        if value is None:
            bare = isinstance(node.value, int | float) and not isinstance(node.value, bool)
            mend = "add a unit" if bare and self.mend.startswith("use the units") else self.mend
            desk.needs(node, f"{self.what} such as `{self.example}`", mend)
        return value

    def schema(self) -> Json:
        found = {"type": "string", "pattern": self.pattern, "examples": [self.example]}
        return found | ({"format": self.form} if self.form else {})


class Duration(Quantity[int]):
    """A duration, in milliseconds, from `least` to `most` inclusive."""

    def __init__(self, example: str = "5m", *, least: int = 1, most: int = 3660 * units.DAY_MS) -> None:
        mend = "use the units `ms s m h d`, and whole numbers"
        super().__init__("a duration", example, units.DURATION, units.parse_duration, mend)
        self.least = least
        self.most = most

    def read(self, node: Node, desk: Desk) -> int | None:
        if not (isinstance(node.value, str) and _ENDLESS.fullmatch(node.value)):
            value = super().read(node, desk)
            if value is None or self.least <= value <= self.most:
                return value
        least, most = units.format_duration(self.least), units.format_duration(self.most)
        desk.needs(node, f"a duration from `{least}` to `{most}`")
        return None


class Distance(Quantity[float]):
    """A distance, in metres, from `least` to `most` inclusive."""

    def __init__(self, example: str = "50m", *, least: float = 0.0, most: float = 40_000_000.0) -> None:
        mend = "use the units `m km`"
        super().__init__("a distance", example, units.DISTANCE, units.parse_distance, mend)
        self.least = least
        self.most = most

    def read(self, node: Node, desk: Desk) -> float | None:
        value = super().read(node, desk)
        if value is None or self.least <= value <= self.most:
            return value
        desk.needs(node, f"a distance from `{self.least:g}m` to `{self.most:g}m`")
        return None


def size() -> Quantity[int]:
    """A number of bytes, written `1MiB`."""
    return Quantity("a size", "1MiB", units.SIZE, units.parse_size, "use the units `B KiB MiB GiB`")


def time_of_day(example: str = "17:00") -> Quantity[int]:
    """Milliseconds after local midnight, written `17:00` or `17:00:30`."""
    mend = "write hours and minutes in two digits each"
    return Quantity("a local time", example, units.TIME_OF_DAY, units.parse_time_of_day, mend)


def day() -> Quantity[date]:
    """A date, written `2026-12-31`."""
    mend = "write year, month and day of a day that exists"
    return Quantity("a date", "2026-12-31", units.DATE, units.parse_date, mend, form="date")


def instant() -> Quantity[int | datetime]:
    """An instant with an offset (epoch milliseconds), or a local time without one (a datetime)."""
    mend = "write date, time and offset"
    return Quantity("an instant", "2026-11-25T17:10+09:00", units.INSTANT, units.parse_instant, mend)


class Zone(Shape[str]):
    """An IANA time zone, or one of a few words that stand for one."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def read(self, node: Node, desk: Desk) -> str | None:
        if isinstance(node.value, str) and (node.value in self.words or zone(node.value) is not None):
            return node.value
        words = "".join(f"`{w}`, " for w in self.words)
        known: Collection[str] = {*self.words, *zone_names()} if isinstance(node.value, str) else ()
        mend = did_you_mean(node.text, known) if known else ""
        if not mend.startswith("did"):
            mend = ""
        desk.needs(node, f"{words}{'or ' if words else ''}an IANA time zone such as `Asia/Tokyo`", mend)
        return None

    def schema(self) -> Json:
        return {"type": "string", "minLength": 1, "examples": [*self.words, "Asia/Tokyo"]}


def _meant(value: object) -> object:
    """A number where one is wanted, though a `+` or zeros before it make a text of it anywhere else."""
    if isinstance(value, str) and _PADDED.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value


def _number_mend(value: object) -> str:
    return "remove the quotes" if isinstance(value, str) and _LIKE_A_NUMBER.fullmatch(value) else ""
