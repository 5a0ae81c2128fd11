"""Plain pings and sightings in lines of JSON, read by one kernel: the fast way in for recordings.

Owns which lines are plain: one flat object without escapes, each field of a ping given once and of its type. What such
a line says is read here as Python reads it, to the last bit. Must not know which values are good, nor refuse anything.
All of the kernel stands in this file, since numba keeps a compiled one for as long as its file stays the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: What became of a line.
PLAIN, ODD, BLANK = 0, 1, 2
#: A time that was not given, or is none.
NO_TIME = -(2**62)
#: Rows of `numbers`, of `times` and of `codes`.
NUMBERS = ("lat", "lng", "accuracy", "speed", "heading", "rssi")
TIMES = ("time", "received")
CODES = ("device", "user", "beacon")

_OPEN, _CLOSE, _QUOTE, _COLON, _COMMA, _ESCAPE = (ord(c) for c in '{}":,\\')
_ZERO, _NINE, _MINUS, _PLUS, _POINT, _SMALL_E, _LARGE_E = (ord(c) for c in "09-+.eE")
_T, _Z, _SPACE, _NEWLINE, _TAB, _RETURN = (ord(c) for c in "TZ \n\t\r")
_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
#: What an element means that is no known key.
_UNKNOWN = -1
_MOCKED = len(NUMBERS) + len(TIMES) + len(CODES)
_FIRST_TIME, _FIRST_CODE = len(NUMBERS), len(NUMBERS) + len(TIMES)
_FIX_NEEDS = sum(1 << n for n in (0, 1, _FIRST_TIME, _FIRST_CODE))
_SIGHTING_NEEDS = sum(1 << n for n in (5, _FIRST_TIME, _FIRST_CODE, _FIRST_CODE + 2))
_PLACE = 0b11


def _word(text: str) -> int:
    return int.from_bytes(text.encode(), "big")


_LAT, _LNG, _ACCURACY, _SPEED, _HEADING, _RSSI = map(_word, NUMBERS)
_TIME, _RECEIVED = map(_word, TIMES)
_DEVICE, _USER, _BEACON = map(_word, CODES)
_MOCKED_WORD, _TRUE, _FALSE, _NULL = map(_word, ("mocked", "true", "false", "null"))
#: Powers of ten that a double holds exactly.
_TENS = np.array([10.0**n for n in range(23)])
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def _kernel(function: Any, **how: Any) -> Any:
    """Compile at the first call and keep it on disk; where no folder can be written to, each process compiles anew."""
    try:
        return njit(cache=True, nogil=True, error_model="numpy", **how)(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy", **how)(function)


def _inlined(function: Any) -> Any:
    return _kernel(function, forceinline=True)


@_inlined
def _after_blanks(data: Any, at: int, end: int) -> int:
    while at < end and (data[at] == _SPACE or data[at] == _TAB or data[at] == _RETURN):
        at += 1
    return at


@_inlined
def _text_end(data: Any, at: int, end: int) -> int:
    """Where the text that begins at `at` is closed; -1 when it is not, or holds an escape or a control character."""
    while at < end:
        letter = data[at]
        if letter == _QUOTE:
            return at
        if letter == _ESCAPE or letter < _SPACE:
            return -1
        at += 1
    return -1


@_inlined
def _word_at(data: Any, at: int, end: int) -> int:
    """A few letters as one number."""
    word = 0
    while at < end:
        word = (word << 8) | data[at]
        at += 1
    return word


@_inlined
def _key(data: Any, at: int, end: int) -> Any:
    """Where the text that begins at `at` is closed, and its letters as one number; `end` when it is not plain."""
    first, word = at, 0
    while at < end and data[at] != _QUOTE:
        if data[at] == _ESCAPE or data[at] < _SPACE:
            return end, -1
        word = (word << 8) | data[at]
        at += 1
    return at, word if at - first <= 8 else -1


@_inlined
def _field(word: int) -> int:
    """Which field a key is."""
    if word == _DEVICE:
        return _FIRST_CODE
    if word == _TIME:
        return _FIRST_TIME
    if word == _LAT:
        return 0
    if word == _LNG:
        return 1
    if word == _ACCURACY:
        return 2
    if word == _USER:
        return _FIRST_CODE + 1
    if word == _SPEED:
        return 3
    if word == _HEADING:
        return 4
    if word == _RSSI:
        return 5
    if word == _BEACON:
        return _FIRST_CODE + 2
    if word == _RECEIVED:
        return _FIRST_TIME + 1
    return _MOCKED if word == _MOCKED_WORD else _UNKNOWN


@_inlined
def _is_digit(letter: int) -> bool:
    return _ZERO <= letter <= _NINE


@_inlined
def _after_digits(data: Any, at: int, end: int) -> int:
    while at < end and _is_digit(data[at]):
        at += 1
    return at


@_inlined
def _number(data: Any, at: int, end: int) -> Any:
    """A JSON number: where it ends (-1: there is none), its digits as one number, how many of them are decimals.

    What has an exponent, or more than 18 digits, comes out with -1 decimals: a number, and not to be read here.
    """
    at += data[at] == _MINUS
    first, whole = at, 0
    while at < end and _is_digit(data[at]):
        whole = whole * 10 + (data[at] - _ZERO)
        at += 1
    digits = at - first
    if digits == 0 or (digits > 1 and data[first] == _ZERO):
        return -1, 0, 0
    places = 0
    if at < end and data[at] == _POINT:
        first = at + 1
        at = first
        while at < end and _is_digit(data[at]):
            whole = whole * 10 + (data[at] - _ZERO)
            at += 1
        places = at - first
        if places == 0:
            return -1, 0, 0
        digits += places
    if at < end and (data[at] == _SMALL_E or data[at] == _LARGE_E):
        first = at + 1
        first += first < end and (data[first] == _PLUS or data[first] == _MINUS)
        at = _after_digits(data, first, end)
        return (at if at > first else -1), 0, -1
    return at, whole, places if digits <= 18 else -1


@_inlined
def _divided(whole: int, ten: float) -> Any:
    """The double nearest to a quotient, NaN where that is too close to call.

    `whole` is at most 10^18, `ten` a power of ten that is exact. The quotient of doubles leaves a remainder that is
    exact too (Dekker); what it adds is known to 2^-51 of itself.
    """
    low = whole & 4095
    high = float(whole - low)
    quotient = high / ten
    split = 134_217_729.0 * quotient
    quotient_high = split - (split - quotient)
    quotient_low = quotient - quotient_high
    split = 134_217_729.0 * ten
    ten_high = split - (split - ten)
    ten_low = ten - ten_high
    product = quotient * ten
    rest = (
        (quotient_high * ten_high - product) + quotient_high * ten_low + quotient_low * ten_high
    ) + quotient_low * ten_low
    more = ((high - product) - rest + float(low)) / ten
    near = quotient + more
    beyond = more - (near - quotient)
    half = 0.5 * (near - np.nextafter(near, 0.0))  # the smaller of both sides, at a power of two
    return near if abs(beyond) < half - abs(more) * 2.0**-50 else np.nan


@_inlined
def _decimal(whole: int, places: int) -> Any:
    """The double nearest to a number, as Python reads it; NaN where that is not easily told."""
    if places < 0:
        return np.nan
    ten = _TENS[places]
    return float(whole) / ten if whole <= 2**53 else _divided(whole, ten)


@_inlined
def _two(data: Any, at: int) -> Any:
    """A number of two digits; for what is none, far less than any year could make up for."""
    if not (_is_digit(data[at]) and _is_digit(data[at + 1])):
        return -1_000_000
    return (data[at] - _ZERO) * 10 + (data[at + 1] - _ZERO)


@_kernel
def _instant(data: Any, at: int, end: int) -> Any:
    """The instant of a plain RFC 3339 text, in epoch milliseconds; `NO_TIME` for any other: it may still be one."""
    if end - at < 20 or data[at + 4] != _MINUS or data[at + 7] != _MINUS or data[at + 10] != _T:
        return NO_TIME
    if data[at + 13] != _COLON or data[at + 16] != _COLON:
        return NO_TIME
    year, month, day = _two(data, at) * 100 + _two(data, at + 2), _two(data, at + 5), _two(data, at + 8)
    hour, minute, second = _two(data, at + 11), _two(data, at + 14), _two(data, at + 17)
    if year < 1 or month < 1 or month > 12 or day < 1 or min(hour, minute, second) < 0:
        return NO_TIME
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _MONTH_DAYS[month] + (leap and month == 2) or hour > 23 or minute > 59 or second > 59:
        return NO_TIME
    at += 19
    ms = 0
    if data[at] == _POINT:
        first = at + 1
        at = _after_digits(data, first, end)
        if at == first:
            return NO_TIME
        for n in range(3):
            ms = ms * 10 + (data[first + n] - _ZERO if first + n < at else 0)
    if at + 1 == end and data[at] == _Z:
        zone = 0
    elif at + 6 == end and (data[at] == _PLUS or data[at] == _MINUS) and data[at + 3] == _COLON:
        hours, minutes = _two(data, at + 1), _two(data, at + 4)
        if min(hours, minutes) < 0 or hours > 23 or minutes > 59:
            return NO_TIME
        zone = (hours * 60 + minutes) * (1 if data[at] == _PLUS else -1)
    else:
        return NO_TIME
    begun = year - (month <= 2)  # years that begin in March: the day that leap years add is then the last one
    days = begun * 365 + begun // 4 - begun // 100 + begun // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 719_469
    return ((days * 24 + hour) * 60 + minute - zone) * _MINUTE_MS + second * 1000 + ms


@_inlined
def _place_of(data: Any, at: int, size: int, names: Any) -> Any:
    """Where in the hash table a text is, or would be."""
    slots, letters, starts, _ = names
    mask = slots.size - 1
    mixed = size
    for k in range(at, at + size):
        mixed = (mixed ^ data[k]) * 1_099_511_628_211
    slot = (mixed ^ (mixed >> 29)) & mask
    while slots[slot] >= 0:
        first = starts[slots[slot]]
        if starts[slots[slot] + 1] - first == size:
            k = 0
            while k < size and letters[first + k] == data[at + k]:
                k += 1
            if k == size:
                break
        slot = (slot + 1) & mask
    return slot


@_kernel
def code_of(data: Any, at: int, end: int, names: Any) -> Any:
    """The number of a name; one that is new gets the next one."""
    slots, letters, starts, count = names
    slot = _place_of(data, at, end - at, names)
    if slots[slot] < 0:
        number = count[0]
        first = starts[number]
        for k in range(end - at):
            letters[first + k] = data[at + k]
        starts[number + 1] = first + end - at
        slots[slot] = number
        count[0] = number + 1
    return slots[slot]


@_kernel
def enter(names: Any) -> None:
    """Enter all names into a hash table that is empty, as after it was made larger."""
    slots, letters, starts, count = names
    for number in range(count[0]):
        slot = _place_of(letters, starts[number], starts[number + 1] - starts[number], names)
        slots[slot] = number


@_inlined
def _take(
    field: int, data: Any, at: int, end: int, row: int, numbers: Any, times: Any, codes: Any, mocked: Any, names: Any
) -> Any:  # fmt: skip
    """Read the value of a field that begins at `at`; where it ends, -1 when it is not plain, -2 - end for a null."""
    if data[at] == _QUOTE:
        close = _text_end(data, at + 1, end)
        if close < 0 or field == _UNKNOWN:
            return close + 1 if close >= 0 else -1
        if field == _FIRST_TIME or field == _FIRST_TIME + 1:
            time_ms = _instant(data, at + 1, close)
            times[field - _FIRST_TIME, row] = time_ms
            return close + 1 if time_ms != NO_TIME else -1
        if field < _FIRST_CODE or field == _MOCKED or close == at + 1:
            return -1
        codes[field - _FIRST_CODE, row] = code_of(data, at + 1, close, names)
        return close + 1
    if data[at] == _MINUS or _is_digit(data[at]):
        stop, whole, places = _number(data, at, end)
        if stop < 0 or field == _UNKNOWN:
            return stop
        sign = -1 if data[at] == _MINUS else 1
        if field < _FIRST_TIME:
            numbers[field, row] = value = sign * _decimal(whole, places)
            return stop if value == value else -1
        if field >= _FIRST_CODE or places != 0:
            return -1
        times[field - _FIRST_TIME, row] = sign * whole
        return stop
    if at + 4 <= end and _word_at(data, at, at + 4) == _NULL:
        return -2 - (at + 4)
    true = at + 4 <= end and _word_at(data, at, at + 4) == _TRUE
    if (true or (at + 5 <= end and _word_at(data, at, at + 5) == _FALSE)) and field in (_MOCKED, _UNKNOWN):
        if field == _MOCKED:
            mocked[row] = true
        return at + 4 if true else at + 5
    return -1


@_inlined
def _line(
    data: Any, at: int, end: int, row: int, numbers: Any, times: Any, codes: Any, mocked: Any, names: Any
) -> bool:  # fmt: skip
    """Read one line into a row; False when it is not plain."""
    at = _after_blanks(data, at, end)
    if at == end or data[at] != _OPEN:
        return False
    seen, given = 0, 0
    while True:
        at = _after_blanks(data, at + 1, end)
        if at >= end or data[at] != _QUOTE:
            return False
        at, word = _key(data, at + 1, end)
        field = _field(word)
        at = _after_blanks(data, at + 1, end)
        if at >= end or data[at] != _COLON:
            return False
        at = _after_blanks(data, at + 1, end)
        if at >= end:
            return False
        at = _take(field, data, at, end, row, numbers, times, codes, mocked, names)
        if at == -1:
            return False
        if field != _UNKNOWN:
            if seen >> field & 1:
                return False  # given twice
            seen |= 1 << field
            given |= (at >= 0) << field
        at = _after_blanks(data, at if at >= 0 else -2 - at, end)
        if at >= end or data[at] != _COMMA:
            break
    if at >= end or data[at] != _CLOSE or _after_blanks(data, at + 1, end) != end:
        return False
    if given >> (_FIRST_CODE + 2) & 1:
        return given & _SIGHTING_NEEDS == _SIGHTING_NEEDS and given & _PLACE == 0
    return given & _FIX_NEEDS == _FIX_NEEDS


@_kernel
def scan(
    data: Any,  # uint8[size], whole lines
    kind: Any,  # uint8[n] out: PLAIN, ODD or BLANK, for each line
    begins: Any,  # int64[n + 1] out: where each line begins
    numbers: Any,  # float64[6, n] out, NaN for what is not given
    times: Any,  # int64[2, n] out, NO_TIME for what is not given
    codes: Any,  # int32[3, n] out, -1 for what is not given
    mocked: Any,  # uint8[n] out
    names: Any,  # (slots, letters, starts, count), see `Names`; there is room for all names of the chunk
) -> int:
    """Read the lines of a chunk; returns how many there are. Rows of lines that are not plain hold nothing of use."""
    at, row = 0, 0
    while at < data.size:
        end = at
        while end < data.size and data[end] != _NEWLINE:
            end += 1
        begins[row] = at
        if _after_blanks(data, at, end) == end:
            kind[row] = BLANK
        elif not _line(data, at, end, row, numbers, times, codes, mocked, names):
            kind[row] = ODD
        at, row = end + 1, row + 1
    begins[row] = min(at, data.size)
    return row
