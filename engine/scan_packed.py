"""Names as a frame has them, lists of texts in MessagePack, given their numbers without a text made of each.

Owns that form. Must not know what a name is the name of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.scan_values import code_at, inlined, letter_at, mixed_with, scanning

#: The first bytes of texts and lists; those of short ones hold their size too.
_LIST, _TEXT, _TEXT_END = 0x90, 0xA0, 0xC0
_TEXT_8, _TEXT_16, _LIST_16, _LIST_32 = 0xD9, 0xDA, 0xDC, 0xDD


@scanning
def scan_packed(data: Any, numbers: Any, slots: Any, letters: Any, starts: Any, count: Any) -> bool:
    """Fill `numbers` with those of the names in whole lists, one after the other; new names get the next numbers.

    False if there is anything else, or one more or less, or a name is not found soon.
    """
    at, met = 0, 0
    while at < data.size:
        at, size = _text_at(data, at)
        if size < 0:
            continue
        if met == numbers.size or at + size > data.size:
            return False
        mixed = 0
        for k in range(size):
            mixed = mixed_with(mixed, letter_at(data, at + k))
        number = code_at(data, at, size, mixed, (slots, letters, starts, count))
        if number < 0:
            return False
        numbers[met] = number
        met, at = met + 1, at + size
    return bool(met == numbers.size)


@inlined
def _text_at(data: Any, at: int) -> tuple[Any, Any]:
    """Where the letters of a text begin, and how many there are; -1 at the begin of a list, and then what is in it."""
    kind = np.int64(letter_at(data, at))
    if _TEXT <= kind < _TEXT_END:
        return at + 1, kind - _TEXT
    if kind == _TEXT_8:
        return at + 2, np.int64(letter_at(data, at + 1))
    if kind == _TEXT_16:
        return at + 3, np.int64(letter_at(data, at + 1)) << 8 | np.int64(letter_at(data, at + 2))
    if _LIST <= kind < _TEXT:
        return at + 1, -1
    if kind == _LIST_16:
        return at + 3, -1
    if kind == _LIST_32:
        return at + 5, -1
    return at, data.size + 1  # nothing that we know: it ends behind the end
