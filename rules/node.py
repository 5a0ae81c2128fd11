"""One place in a file of YAML: what stands there, and where that is.

Owns the tree that a file becomes, and what its plain scalars mean: those of the YAML 1.2 core schema, so that `17:00`,
`no` and `on` stay text. And so do `0012` and `+81`, which JSON knows no number like: a postcode or a telephone number
was meant. Must not know how a file is parsed, nor what any key means.
"""

from __future__ import annotations

import re
from typing import Any, Final

DEPTH_MAX: Final = 24
NODES_MAX: Final = 100_000

Scalar = None | bool | int | float | str

_INT = re.compile(r"-?[0-9]{1,18}")
_BASE = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"-?(?:\.[0-9]{1,400}|[0-9]{1,400}(?:\.[0-9]{0,400})?)(?:[eE][-+]?[0-9]{1,4})?")
_LEADING_ZERO = re.compile(r"-?0[0-9]")
_NUMBERS_BEGIN: Final = frozenset("-.0123456789")
_WORDS: dict[str, Scalar] = {"": None, "~": None}
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


class TooLargeError(ValueError):
    """A number that is larger than any that we work with."""


def plain_scalar(text: str) -> Scalar:
    """What a scalar without quotes means. Raises `TooLargeError`.

    >>> plain_scalar("17:00"), plain_scalar("0012"), plain_scalar("1.5"), plain_scalar("true")
    ('17:00', '0012', 1.5, True)
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBERS_BEGIN or _LEADING_ZERO.match(text):
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")) or text.lstrip("-").isdigit():
            raise TooLargeError
        return number
    return text


class Node:
    """One mapping, list or scalar of a file, and where it stands.

    `value` is a dict of nodes, a list of nodes, or a scalar; `text` is the scalar as written. `line` and `column`
    count from 1; `key_line` and `key_column` are those of its key in a mapping, else its own. `name` is its key or
    index, `parent` the node it stands in.
    """

    __slots__ = ("column", "file", "key_column", "key_line", "line", "name", "parent", "text", "value")

    def __init__(
        self, value: Any, text: str, file: str, line: int, column: int, parent: Node | None = None,
        name: str | int = "", key_line: int = 0, key_column: int = 0,
    ) -> None:  # fmt: skip
        self.value = value
        self.text = text
        self.file = file
        self.line = line
        self.column = column
        self.parent = parent
        self.name = name
        self.key_line = key_line or line
        self.key_column = key_column or column

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list)

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, dict | list)

    @property
    def is_alias(self) -> bool:
        """True if an alias stands here, which the reader refused: nobody knows what its value would be."""
        return self.value is None and self.text.startswith("*")

    @property
    def path(self) -> str:
        """Its place in the document, such as `limits.caps[0].per`; "" for the document itself."""
        if self.parent is None:
            return ""
        before = self.parent.path
        if isinstance(self.name, int):
            return f"{before}[{self.name}]"
        return f"{before}.{self.name}" if before else self.name

    @property
    def shown(self) -> str:
        """What came, for a message: the scalar as written, else what it is."""
        if self.is_mapping:
            return "a mapping" if self.value else "{}"
        if self.is_list:
            return "a list" if self.value else "[]"
        return self.text if self.value is not None or self.text else "nothing"

    def get(self, name: str) -> Node | None:
        """The node under a key, or None."""
        return self.value.get(name) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """The tree as dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {k: n.plain() for k, n in self.value.items()}
        return [n.plain() for n in self.value] if isinstance(self.value, list) else self.value
