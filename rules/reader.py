"""YAML 1.2 files as trees of nodes that know where they stand.

Owns what is YAML to us, and what is said of all else: anchors, tags, duplicate keys and deep nesting are mistakes.
Plain files, which most are, are read by `swift.py`. Must not know what any key means.
"""

from __future__ import annotations

import io
import re
from typing import Any, Final

from geo.mistake import Mistake
from rules.node import DEPTH_MAX, NODES_MAX, Node, Scalar, TooLargeError, plain_scalar
from rules.swift import plain_documents
from rules.syntax import in_words

FILE_BYTES_MAX: Final = 1 << 20
MISTAKES_MAX: Final = 100

# The parser itself stumbles over some broken input, such as an escape beyond Unicode: that is the file's fault.
_STUMBLES = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError, AssertionError, RecursionError)
_SURROGATE = re.compile("[\ud800-\udfff]")


class _RefusedError(Exception):
    """Reading cannot go on: what follows has no meaning."""


class _Builder:
    """Builds the trees from the parser's events, one level of a stack for each open mapping or list."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self.documents: list[Node] = []
        self.open: list[Node] = []
        self.keys: list[Node | None] = []
        self.root: Node | None = None
        self.nodes = 0

    def wrong(self, line: int, column: int, what: str, got: str | None = None, mend: str = "") -> None:
        self.mistakes.append(Mistake(self.file, line, column, what, None if got is None else one_line(got), mend))

    def take(self, event: Any) -> None:
        """One event of the parser."""
        kind = type(event).__name__
        if kind == "ScalarEvent":
            if event.anchor is not None or event.tag is not None:
                self.check(event)
            self.place(self.node(event, self.scalar(event), event.value))
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self.check(event)
            node = self.node(event, {} if kind == "MappingStartEvent" else [], "")
            self.place(node)
            self.open.append(node)
            self.keys.append(None)
            if len(self.open) > DEPTH_MAX:
                self.wrong(node.line, node.column, f"nested more than {DEPTH_MAX} levels deep")
                raise _RefusedError
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self.open.pop()
            self.keys.pop()
        elif kind == "AliasEvent":
            mark = event.start_mark
            what = "aliases are not allowed"
            self.wrong(mark.line + 1, mark.column + 1, what, f"*{event.anchor}", "write the value out")
            self.place(self.node(event, None, f"*{event.anchor}"))
        elif kind == "DocumentStartEvent":
            self.open, self.keys, self.root = [], [], None
        elif kind == "DocumentEndEvent" and self.root is not None and (self.root.value is not None or self.root.text):
            # One that was not read to its end would only give misleading mistakes.
            self.documents.append(self.root)

    def node(self, event: Any, value: Any, text: str) -> Node:
        mark = event.start_mark
        self.nodes += 1
        if self.nodes > NODES_MAX:
            mend = "split the file"
            self.wrong(mark.line + 1, mark.column + 1, f"more than {NODES_MAX:,} values in one file", None, mend)
            raise _RefusedError
        return Node(value, text, self.file, mark.line + 1, mark.column + 1)

    def check(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if event.anchor is not None:
            self.wrong(line, column, "anchors are not allowed", f"&{event.anchor}", "write the value out each time")
        if event.tag is not None:
            self.wrong(line, column, "tags are not allowed", str(event.tag), "remove it, put text in quotes")

    def scalar(self, event: Any) -> Scalar:
        text: str = event.value
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if _SURROGATE.search(text):
            self.wrong(line, column, "holds half of a surrogate pair", None, "write the character itself")
            return ""
        if event.style:
            return text
        try:
            return plain_scalar(text)
        except TooLargeError:
            self.wrong(line, column, "the number is too large", text, "put it in quotes if it is a text")
            return 0

    def place(self, node: Node) -> None:
        """Put a node where it belongs: under the waiting key, as the next key, in the list, or as a document."""
        if not self.open:
            self.root = node
            return
        parent, key = self.open[-1], self.keys[-1]
        node.parent = parent
        if isinstance(parent.value, list):
            node.name = len(parent.value)
            parent.value.append(node)
        elif key is None:
            if not node.is_scalar:
                self.wrong(node.line, node.column, "a key must be a text", None, "write `key: value`")
            self.keys[-1] = node
        else:
            self.keys[-1] = None
            node.name, node.key_line, node.key_column = key.text, key.line, key.column
            if not key.is_scalar:
                return
            first = parent.value.get(key.text)
            if first is not None:
                what, mend = "duplicate key", f"it is already on line {first.key_line}"
                self.wrong(key.line, key.column, what, key.text, mend)
                return
            parent.value[key.text] = node


def read_documents(text: str | bytes, *, file: str) -> tuple[list[Node], list[Mistake]]:
    """The documents of a YAML file, and all mistakes that make it unreadable or ambiguous.

    Empty documents are left out, and so is one that breaks off.
    A file may have at most 1 MiB, 24 levels and 100,000 values. `file` is the name that mistakes show.

    >>> documents, mistakes = read_documents("at: 17:00\\nat: no", file="a.yaml")
    >>> documents[0].plain(), str(mistakes[0])
    ({'at': '17:00'}, 'a.yaml:2:1: duplicate key, got `at`, it is already on line 1')
    """
    builder = _Builder(file)
    decoded = _decode(text, builder)
    if decoded is None:
        return [], builder.mistakes
    documents = plain_documents(decoded, file)
    if documents is not None:
        return documents, []
    _read_closely(decoded, builder)
    return builder.documents, _readable(sorted(builder.mistakes))


def _read_closely(decoded: str, builder: _Builder) -> None:
    """Read a text that is not plain, or in which something is wrong, and note what."""
    from ruamel.yaml import YAML  # most sites need it for no file
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    from rules.scanner import ScannerOf12

    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = ScannerOf12
    try:
        for event in yaml.parse(io.StringIO(decoded)):
            builder.take(event)
    except _RefusedError:
        pass
    except MarkedYAMLError as error:
        line, column, what, mend = in_words(error)
        builder.wrong(line, column, what, None, mend)
    except ReaderError as error:
        line, column = _position(decoded, error.position)
        builder.wrong(line, column, f"holds the control character U+{error.character:04X}", None, "remove it")
    except (YAMLError, *_STUMBLES) as error:
        builder.wrong(1, 1, f"is not YAML: {str(error) or type(error).__name__}".splitlines()[0])


def _readable(mistakes: list[Mistake]) -> list[Mistake]:
    """No more mistakes than people read of one file."""
    if len(mistakes) <= MISTAKES_MAX:
        return mistakes
    first = mistakes[MISTAKES_MAX]
    more = f"{len(mistakes) - MISTAKES_MAX} more mistakes in this file are not shown"
    return [*mistakes[:MISTAKES_MAX], Mistake(first.file, first.line, first.column, more, None, "mend these first")]


def one_line(text: str, most: int = 200) -> str:
    """A text from a file as a message may show it: on one line, without control characters, not too long.

    >>> one_line("a\\nb\\x1b[31m")
    'a b [31m'
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)


def _decode(text: str | bytes, builder: _Builder) -> str | None:
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > FILE_BYTES_MAX:
        builder.wrong(1, 1, "the file is larger than 1 MiB", f"{size:,} bytes", "split it")
        return None
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = text[: error.start].decode("utf-8", "replace")
        line, column = _position(good, len(good))
        builder.wrong(line, column, "is not UTF-8", f"byte 0x{text[error.start]:02x}", "save the file as UTF-8")
        return None


def _position(text: str, index: int) -> tuple[int, int]:
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1
