"""A plain FeatureCollection at the speed of compiled code: its values, and where each of its features starts.

Owns which texts that may be: those in which nothing is special, so that the standard decoder would read the same.
Nobody has to trust it with a mistake: what is not plain `geojson` reads with the standard decoder, which says what is
wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from geo.arrays import IntArray
from geo.kernel import maker

DEPTH_MAX = 60
DIGITS_MAX = 18
"""Whole numbers of more digits are not the same to both decoders."""

_NEWLINE, _QUOTE, _DOT, _ZERO, _NINE, _BACKSLASH = 10, 34, 46, 48, 57, 92
_OPEN_LIST, _CLOSE_LIST, _OPEN, _CLOSE, _EXPONENT = 91, 93, 123, 125, 101


def plain_features(text: bytes) -> tuple[list[Any], list[list[int]]] | None:
    """(features, [line, column] of each), or None if the text is not a plain collection of objects.

    >>> plain_features(b'{"type": "FeatureCollection", "features": [{"id": 1},\\n {"id": 2}]}')
    ([{'id': 1}, {'id': 2}], [[1, 44], [2, 2]])
    >>> plain_features(b'{"type": "FeatureCollection", "features": [{"id": 1e0}]}')
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    places = _places(np.frombuffer(text, np.uint8))
    if places[0, 0] < 0:
        return None
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        return None
    features = document.get("features")
    if not isinstance(features, list) or len(features) != len(places) - 1 or set(map(type, features)) > {dict}:
        return None
    return features, places[1:].tolist()


@maker
def _places(text: IntArray) -> IntArray:
    """int64[n + 1, 2]: behind a first row, line and column of each object in a list of the outermost object.

    The first row is -1 where the text has what only the standard decoder may read, else 0.
    """
    out, found = np.zeros((64, 2), np.int64), 1
    in_list = np.zeros(DEPTH_MAX + 1, np.bool_)
    depth, line, column, digits, before = 0, 1, 0, 0, 0
    in_string, after_dot = False, False
    k, size = 0, text.shape[0]
    while k < size:
        c = text[k]
        column += (c & 0xC0) != 0x80
        if in_string:
            if c == _BACKSLASH:
                k += 1
                column += 1
            elif c == _QUOTE:
                in_string = False
        elif _ZERO <= c <= _NINE:
            digits += not after_dot
            if digits > DIGITS_MAX:
                out[0] = -1
                return out[:1]
        else:
            if (c | 32) == _EXPONENT and _ZERO <= before <= _NINE:
                out[0] = -1
                return out[:1]
            digits, after_dot = 0, c == _DOT
            if c == _QUOTE:
                in_string = True
            elif c == _NEWLINE:
                line, column = line + 1, 0
            elif c in (_OPEN, _OPEN_LIST):
                if c == _OPEN and depth == 2 and in_list[2]:
                    if found == out.shape[0]:
                        more = np.zeros((2 * found, 2), np.int64)
                        more[:found] = out
                        out = more
                    out[found, 0], out[found, 1] = line, column
                    found += 1
                depth += 1
                if depth > DEPTH_MAX:
                    out[0] = -1
                    return out[:1]
                in_list[depth] = c == _OPEN_LIST
            elif c in (_CLOSE, _CLOSE_LIST):
                depth = max(0, depth - 1)
        before = c
        k += 1
    return out[:found]
