"""Plain YAML at the speed of libyaml: the events of a text, if nothing in it is special.

Owns which texts libyaml may read: those in which YAML 1.1, which it speaks, means what YAML 1.2 means. Nobody has to
trust it with a mistake: whatever is not plain, or wrong, is read by ruamel, which knows 1.2 and says what is wrong.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.cyaml import CParser

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where the two might differ: control characters, line breaks but `\n`, escapes, byte order marks, what is no
#: character; directives; ends of documents.
_SPECIAL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\\\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]|^%|\.\.\.(?:\s|\Z)", re.MULTILINE
)
_BLOCKS = frozenset("|>")


class NotPlainError(Exception):
    """The text is not for libyaml."""


def plain_events(text: str) -> Iterator[Any]:
    """The events of a text, of PyYAML's classes. Raises `NotPlainError`, maybe after some."""
    if _SPECIAL.search(text):
        raise NotPlainError
    parser = CParser(text)
    try:
        while (event := parser.get_event()) is not None:
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise NotPlainError
            if isinstance(event, yaml.ScalarEvent) and (event.style in _BLOCKS or not (event.value or event.style)):
                raise NotPlainError
            yield event
    except yaml.YAMLError:
        raise NotPlainError from None
    finally:
        parser.dispose()
