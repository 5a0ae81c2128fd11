"""What a document says, as one text: equal for equal content, whatever the order of keys, the comments, the spacing.

Owns that text. Versions of rules and templates are made of it, and stand in stores: it never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.node import Node


def canonical(node: Node, spelt: list[str]) -> str:
    """The text of what a node says; `spelt` gets each scalar but a text that is written otherwise than it reads here.

    Nodes with the same text, spelt alike, are read alike: `0x11` says what `17` does, but is another id.

    >>> from rules.reader import read_documents
    >>> spelt = []
    >>> canonical(read_documents("b: [0x11, 'x']\\na: 1  # why", file="f")[0][0], spelt), spelt
    ("{'a':1,'b':[17,'x']}", ['0x11'])
    """
    value = node.value
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, dict):
        return in_braces({name: canonical(child, spelt) for name, child in value.items()})
    if isinstance(value, list):
        return "[" + ",".join([canonical(child, spelt) for child in value]) + "]"
    text = repr(value)
    if node.text != text:
        spelt.append(node.text)
    return text


def in_braces(said: Mapping[str, str]) -> str:
    """The text of a mapping, given that of each of its values.

    >>> in_braces({"b": "1", "a": "True"})
    "{'a':True,'b':1}"
    """
    return "{" + ",".join([f"{name!r}:{said[name]}" for name in sorted(said)]) + "}"
