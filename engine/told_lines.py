"""The lines of transitions, as `--transitions` has them, written many at a time.

Owns how they are written by a kernel. `engine/outward.py` says what a line is, `engine/told.py` what its ids are made
of: these are the same to the letter. Must not know where lines go. Instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.kernel import inlined, kernel
from engine.layout import CROSSED, DWELLED, WITH, Array
from engine.sha256 import ID_BYTES, PADDING, put_id
from engine.told import CAUSES, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.told import Telling
    from rules.place import Place

    #: Some texts: their letters in UTF-8, and where each begins and the last one ends.
    Texts = tuple[Array, Array]

#: No other part of a line is longer than that: ids, an instant, words.
_FIXED = 256
#: A letter in JSON, at most.
_ESCAPED = 2
#: What is hashed, beside names: numbers, a word, the lengths of all parts.
_NUMBERS = 128
_DAY_MS = 86_400_000
_ZERO, _MINUS, _COLON, _POINT, _T, _Z, _QUOTE, _BACKSLASH = (ord(c) for c in '0-:.TZ"\\')


class TransitionLines:
    """Writes transitions as lines. It remembers the names of the places that it saw last."""

    def __init__(self) -> None:
        self._places: Sequence[Place] = ()
        self._names = _texts(())
        self._longest = 0

    def of(self, telling: Telling) -> memoryview:
        """The lines of what was told, in order."""
        if telling.places is not self._places:
            self._places, self._names = telling.places, _texts(place.id for place in telling.places)
            self._longest = int(np.diff(self._names[1]).max(initial=0))
        devices = _texts(telling.devices)
        users = devices if telling.users is telling.devices else _texts(telling.users)
        letters = devices[0].size + users[0].size + len(telling) * self._longest
        out = np.empty(len(telling) * _FIXED + _ESCAPED * letters, np.uint8)
        hashed = np.empty(int(np.diff(devices[1]).max(initial=0)) + self._longest + _NUMBERS + PADDING, np.uint8)
        size = write_lines(telling.records, devices, users, self._names, _WORDS, out, hashed, np.empty(72, np.uint32))
        return out[:size].data


def _texts(texts: Iterable[str]) -> Texts:
    names = [*texts]
    letters = "".join(names).encode()
    # in ASCII there is a byte for each letter
    sizes = [*map(len, names)] if letters.isascii() else [len(name.encode()) for name in names]
    ends = np.zeros(len(names) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    return np.frombuffer(letters, np.uint8), ends


_PARTS = ('{"id":"', '","episode":"', '"', '","episode":null', ',"device":"', '","user":"', '","place":"', '","kind":"',
          '","time":"', '","cause":"', '"}\n')  # fmt: skip
ID, EPISODE, ENDS, NO_EPISODE, DEVICE, USER, PLACE, KIND, TIME, CAUSE, END = range(len(_PARTS))
_KIND, _CAUSE = len(_PARTS), len(_PARTS) + CROSSED + 1
#: What lines are made of beside names: their fixed parts, the words of kinds, and those of causes.
_WORDS = _texts([*_PARTS, *(KINDS.get(number, "") for number in range(CROSSED + 1)), *CAUSES])


@kernel
def write_lines(
    records: Array, devices: Texts, users: Texts, places: Texts, words: Texts, out: Array, hashed: Array, room: Array
) -> int:
    """Write the lines of records of `layout.TOLD`; returns where they end. `hashed` and `room` are worked with."""
    end = 0
    for at in range(records.size):
        told = records[at]
        if told.kind <= WITH:
            continue
        kind, named = _KIND + told.kind, told.time_ms if told.kind == CROSSED else told.entered_ms
        size = _add_name(hashed, _add_name(hashed, 0, devices, at), places, told.place)
        size = _add_number(hashed, size, named)
        end = _copy(out, end, words, ID)
        if told.kind == CROSSED:
            end = put_id(out, end, hashed, _add_name(hashed, size, words, kind), room)
            end = _copy(out, end, words, NO_EPISODE)
        else:
            # the id is made of that of the episode, which stands behind it
            episode = end + 2 * ID_BYTES + words[1][EPISODE + 1] - words[1][EPISODE]
            behind = put_id(out, episode, hashed, size, room)
            size = _add_name(hashed, _add_id(hashed, out, episode), words, kind)
            if told.kind == DWELLED:
                size = _add_number(hashed, size, told.dwell_ms)
            end = put_id(out, end, hashed, size, room)
            _copy(out, end, words, EPISODE)
            end = _copy(out, behind, words, ENDS)
        end = _put_name(out, _copy(out, end, words, DEVICE), devices, at)
        end = _put_name(out, _copy(out, end, words, USER), users, at)
        end = _put_name(out, _copy(out, end, words, PLACE), places, told.place)
        end = _copy(out, _copy(out, end, words, KIND), words, kind)
        end = _put_instant(out, _copy(out, end, words, TIME), told.time_ms)
        end = _copy(out, _copy(out, end, words, CAUSE), words, _CAUSE + told.cause)
        end = _copy(out, end, words, END)
    return end


@inlined
def _copy(out: Array, at: int, texts: Texts, number: int) -> int:
    letters, ends = texts
    for n in range(ends[number], ends[number + 1]):
        out[at] = letters[n]
        at += 1
    return at


@inlined
def _put_name(out: Array, at: int, texts: Texts, number: int) -> int:
    """Write an id as it stands within quotes in JSON. Ids hold no control characters."""
    letters, ends = texts
    for n in range(ends[number], ends[number + 1]):
        letter = letters[n]
        if letter in (_QUOTE, _BACKSLASH):
            out[at] = _BACKSLASH
            at += 1
        out[at] = letter
        at += 1
    return at


@kernel
def _put_instant(out: Array, at: int, time_ms: int) -> int:
    """Write an instant as RFC 3339, UTC, in milliseconds."""
    days, ms = time_ms // _DAY_MS, time_ms % _DAY_MS
    # years that begin in March, in eras of 400 years, from 0000-03-01 on: so a leap day is the last of its year
    days += 719_468
    era, day = days // 146_097, days % 146_097
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month += 3 if month < 10 else -9
    year += 400 * era + (1 if month <= 2 else 0)
    _put_digits(out, at, year, 4)
    _put_digits(out, at + 5, month, 2)
    _put_digits(out, at + 8, day + 1, 2)
    _put_digits(out, at + 11, ms // 3_600_000, 2)
    _put_digits(out, at + 14, ms // 60_000 % 60, 2)
    _put_digits(out, at + 17, ms // 1_000 % 60, 2)
    _put_digits(out, at + 20, ms % 1_000, 3)
    out[at + 4] = out[at + 7] = _MINUS
    out[at + 10], out[at + 13], out[at + 16], out[at + 19], out[at + 23] = _T, _COLON, _COLON, _POINT, _Z
    return at + 24


@inlined
def _put_digits(out: Array, at: int, number: int, count: int) -> None:
    for n in range(count):
        out[at + count - 1 - n] = _ZERO + number % 10
        number //= 10


# -- what is hashed: each part with its length before it, as `rules/ids.py` has it -------------------------------------


@inlined
def _add_length(hashed: Array, at: int, length: int) -> int:
    for n in range(4):
        hashed[at + n] = length >> (24 - 8 * n) & 0xFF
    return at + 4


@inlined
def _add_name(hashed: Array, at: int, texts: Texts, number: int) -> int:
    return _copy(hashed, _add_length(hashed, at, texts[1][number + 1] - texts[1][number]), texts, number)


@inlined
def _add_number(hashed: Array, at: int, number: int) -> int:
    rest, count = abs(number), 1
    while rest >= 10:
        rest //= 10
        count += 1
    minus = 1 if number < 0 else 0
    at = _add_length(hashed, at, count + minus)
    if minus:
        hashed[at] = _MINUS
    _put_digits(hashed, at + minus, abs(number), count)
    return at + minus + count


@inlined
def _add_id(hashed: Array, out: Array, at: int) -> int:
    """The first part is an id that was written to `out`."""
    size = _add_length(hashed, 0, 2 * ID_BYTES)
    for n in range(2 * ID_BYTES):
        hashed[size + n] = out[at + n]
    return size + 2 * ID_BYTES
