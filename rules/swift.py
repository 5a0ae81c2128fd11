"""Plain YAML at the speed of libyaml: the trees of a text, if nothing in it is special.

Owns which texts libyaml may read: those in which YAML 1.1, which it speaks, means what YAML 1.2 means. Nobody has to
trust it with a mistake: whatever is not plain, or wrong, is read by ruamel, which knows 1.2 and says what is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.cyaml import CParser

from rules.node import DEPTH_MAX, NODES_MAX, Node, TooLargeError, plain_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

#: Where the two might differ: control characters, line breaks but `\n`, escapes, byte order marks, what is no
#: character; directives; ends of documents.
_SPECIAL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\\\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]|^%|\.\.\.(?:\s|\Z)", re.MULTILINE
)
_BLOCKS = frozenset("|>")


class _NotPlainError(Exception):
    """The text is not for libyaml, or is wrong."""


def plain_documents(text: str, file: str) -> list[Node] | None:
    """The documents of a text that libyaml may read and that is without mistakes, else None."""
    if _SPECIAL.search(text):
        return None
    parser = CParser(text)
    try:
        return _documents(parser.get_event, file)
    except (yaml.YAMLError, _NotPlainError, TooLargeError):
        return None
    finally:
        parser.dispose()


def _documents(next_event: Callable[[], Any], file: str) -> list[Node]:
    """The trees of the parser's events. One loop, since a site of many rules has a hundred events for each."""
    documents: list[Node] = []
    outer: list[tuple[Node | None, Any]] = []
    node: Node | None = None  # the document, once it is read
    parent: Node | None = None  # the open mapping or list, and what has been read of it
    inner: Any = None
    key: str | None = None  # the key that waits for its value
    line = column = count = 0
    while (event := next_event()) is not None:
        kind = type(event)
        if kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node = parent
            parent, inner = outer.pop()
            continue
        if kind is yaml.ScalarEvent:
            text: str = event.value
            style: str = event.style
            if style in _BLOCKS or not (text or style):
                raise _NotPlainError
            value: Any = text if style else plain_scalar(text)
        elif kind is yaml.MappingStartEvent:
            value, text = {}, ""
        elif kind is yaml.SequenceStartEvent:
            value, text = [], ""
        elif kind is yaml.DocumentEndEvent:
            if node is not None and (node.value is not None or node.text):
                documents.append(node)
            continue
        elif kind is yaml.AliasEvent:
            raise _NotPlainError
        else:
            node = None
            continue
        count += 1
        if event.anchor is not None or event.tag is not None or count > NODES_MAX:
            raise _NotPlainError
        mark = event.start_mark
        if type(inner) is dict:
            if key is None:
                if kind is not yaml.ScalarEvent or text in inner:
                    raise _NotPlainError
                key, line, column = text, mark.line + 1, mark.column + 1
                continue
            node = inner[key] = Node(value, text, file, mark.line + 1, mark.column + 1, parent, key, line, column)
            key = None
        else:
            line, column = mark.line + 1, mark.column + 1
            node = Node(value, text, file, line, column, parent, "" if inner is None else len(inner), line, column)
            if inner is not None:
                inner.append(node)
        if kind is not yaml.ScalarEvent:
            outer.append((parent, inner))
            parent, inner = node, value
            if len(outer) > DEPTH_MAX:
                raise _NotPlainError
    return documents
