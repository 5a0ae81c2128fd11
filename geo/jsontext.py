"""Where in a JSON text a value stands.

Owns the way from a path of keys and indexes to line and column, without a parser of its own: the standard decoder
skips over values at full speed. Must not know GeoJSON.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from json import JSONDecoder

Path = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\n\r]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
_decode = JSONDecoder().raw_decode


class JsonText:
    """A text that is known to be valid JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = line_starts(text)

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of a character of the text.

        >>> JsonText('{"a":\\n [1]}').line_column(7)
        (2, 2)
        """
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def find(self, path: Path, offset: int = 0) -> int:
        """The offset of the value at `path` below the value at `offset`; of its nearest parent where there is none.

        >>> JsonText('{"a": [10, 20]}').find(("a", 1))
        11
        """
        at = self._skip(offset)
        for step in path:
            inner = next((o for key, o in self.children(at) if key == step), None)
            if inner is None:
                return at
            at = inner
        return at

    def children(self, offset: int) -> Iterator[tuple[str | int, int]]:
        """(key or index, offset of the value) of each member of the object or array at `offset`."""
        at = self._skip(offset)
        opening = self.text[at]
        if opening not in "[{":
            return
        at = self._skip(at + 1)
        index = 0
        while self.text[at] not in "]}":
            key: str | int = index
            if opening == "{":
                key, at = _decode(self.text, at)
                at = self._skip(self._skip(at) + 1)
            yield key, at
            _, at = _decode(self.text, at)
            at = self._skip(at)
            if self.text[at] == ",":
                at = self._skip(at + 1)
            index += 1

    def _skip(self, offset: int) -> int:
        found = _SPACE.match(self.text, offset)
        return found.end() if found else offset


def line_starts(text: str) -> list[int]:
    """The offset at which each line starts."""
    return [0, *(found.end() for found in re.finditer(r"\n", text))]


def too_deep_at(text: str, depth_max: int) -> int:
    """The offset of the first bracket nested deeper than `depth_max`, or the length of the text.

    >>> too_deep_at('[[[', 2)
    2
    """
    depth = 0
    for found in _BRACKETS.finditer(text):
        mark = found.group()
        if mark in "[{":
            depth += 1
            if depth > depth_max:
                return found.start()
        elif mark in "]}":
            depth -= 1
    return len(text)
