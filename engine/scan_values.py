"""The values of plain JSON: numbers, instants and names, read as Python reads them, to the last bit.

Owns the letters, and how the kernels of `engine/scan.py` are compiled. Must not know fields or objects.

Places in the data are made unsigned where they are used: for signed ones numba looks each time whether they count from
the end. References to arrays are not counted: whoever calls holds them.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import engine
from geo.kernel import compiled
from geo.sources import sources_of

#: A time that was not given, or is none.
NO_TIME = -(2**62)

OPEN, CLOSE, QUOTE, COLON, COMMA, ESCAPE, LIST, LIST_END = (ord(c) for c in '{}":,\\[]')
ZERO, NINE, MINUS, PLUS, POINT, SMALL_E, LARGE_E = (ord(c) for c in "09-+.eE")
T, Z, SMALL_T, SMALL_Z, SPACE, NEWLINE = (ord(c) for c in "TZtz \n")
#: What may stand between two things, as bits.
BLANKS = sum(1 << ord(c) for c in " \n\t\r")
DAY_MS, MINUTE_MS = 86_400_000, 60_000
#: Decimals of a number that is not to be read here.
UNREAD = -99
#: So many names are looked at for one: whoever makes up names that meet in the table comes no further.
LOOKS = 64
DIGITS_MAX = 18
EXACT = 2**53


def word(text: str) -> int:
    """The letters of a text as one number, as `word_at` reads them."""
    return int.from_bytes(text.encode(), "big")


TRUE, FALSE, NULL = map(word, ("true", "false", "null"))
#: Powers of ten that a double holds exactly.
TENS = np.array([10.0**n for n in range(23)])
MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])

# a kernel has those that it calls compiled into it: so it is kept for as long as neither file changes
_STAMP = hashlib.sha256(b"".join(text for name, text in sources_of(engine) if name.startswith("scan"))).digest()


def scanning(function: Any) -> Any:
    """Compile at the first call and keep it on disk."""
    return compiled(function, stamp=_STAMP, _nrt=False)


def inlined(function: Any) -> Any:
    """The same, and written out where it is called."""
    return compiled(function, stamp=_STAMP, _nrt=False, forceinline=True)


@inlined
def letter_at(data: Any, at: int) -> Any:
    return data[np.uint64(at)]


@inlined
def after_blanks(data: Any, at: int, end: int) -> int:
    while at < end:
        letter = letter_at(data, at)
        if letter > SPACE or not BLANKS >> letter & 1:
            break
        at += 1
    return at


@inlined
def is_digit(letter: int) -> bool:
    return ZERO <= letter <= NINE


@inlined
def after_digits(data: Any, at: int, end: int) -> int:
    while at < end and is_digit(letter_at(data, at)):
        at += 1
    return at


@inlined
def word_at(data: Any, at: int, end: int) -> int:
    """A few letters as one number."""
    word = 0
    while at < end:
        word = (word << 8) | letter_at(data, at)
        at += 1
    return word


@inlined
def after_word(data: Any, at: int, end: int) -> int:
    """Where `true`, `false` or `null` ends that begins at `at`; -1 when none of them does."""
    word = word_at(data, at, min(at + 4, end))
    if word in (TRUE, NULL):
        return at + 4
    return at + 5 if at + 5 <= end and word_at(data, at, at + 5) == FALSE else -1


# -- numbers and instants ------------------------------------------------------------------------------------------


@inlined
def number(data: Any, at: int, end: int) -> Any:
    """A JSON number, its sign apart: where it ends (-1: there is none), its digits as one number, and their decimals.

    Decimals are UNREAD for what is not to be read here. Of an integer that is written as one, the last thing is true.
    """
    first, whole = at, 0
    while at < end and is_digit(letter_at(data, at)):
        whole = whole * 10 + (letter_at(data, at) - ZERO)
        at += 1
    digits = at - first
    if digits == 0 or (digits > 1 and letter_at(data, first) == ZERO):
        return -1, 0, 0, False
    begin, places, integer = first, 0, True
    if at < end and letter_at(data, at) == POINT:
        first = at + 1
        at = first
        while at < end and is_digit(letter_at(data, at)):
            whole = whole * 10 + (letter_at(data, at) - ZERO)
            at += 1
        places = at - first
        if places == 0:
            return -1, 0, 0, False
        digits += places
        integer = False
    if digits > DIGITS_MAX:
        k = begin
        while k < at and (letter_at(data, k) == ZERO or letter_at(data, k) == POINT):
            digits -= letter_at(data, k) == ZERO
            k += 1
    if at < end and (letter_at(data, at) == SMALL_E or letter_at(data, at) == LARGE_E):
        first = at + 1
        signed = first < end and (letter_at(data, first) == PLUS or letter_at(data, first) == MINUS)
        at = after_digits(data, first + signed, end)
        power = 0
        for k in range(first + signed, min(at, first + 5)):
            power = power * 10 + (letter_at(data, k) - ZERO)
        if at == first + signed:
            return -1, 0, 0, False
        places = UNREAD if at > first + 4 else places - (-power if letter_at(data, first) == MINUS else power)
        integer = False
    return at, whole, places if digits <= DIGITS_MAX and places <= 22 else UNREAD, integer


@inlined
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


@inlined
def decimal(whole: int, places: int) -> Any:
    """The double nearest to a number, as Python reads it; NaN where that is not easily told."""
    if places < 0:
        if places < -22 or whole > EXACT:
            return np.nan
        return float(whole) * TENS[np.uint64(-places)]
    ten = TENS[np.uint64(places)]
    return float(whole) / ten if whole <= EXACT else _divided(whole, ten)


@inlined
def _two(data: Any, at: int) -> Any:
    """A number of two digits; for what is none, far less than any year could make up for."""
    if not (is_digit(letter_at(data, at)) and is_digit(letter_at(data, at + 1))):
        return -1_000_000
    return (letter_at(data, at) - ZERO) * 10 + (letter_at(data, at + 1) - ZERO)


@scanning
def instant(data: Any, at: int, end: int) -> Any:
    """The instant of a plain RFC 3339 text, in epoch milliseconds; `NO_TIME` for any other: it may still be one."""
    if end - at < 20 or data[at + 4] != MINUS or data[at + 7] != MINUS:
        return NO_TIME
    if data[at + 10] != T and data[at + 10] != SMALL_T and data[at + 10] != SPACE:
        return NO_TIME
    if data[at + 13] != COLON or data[at + 16] != COLON:
        return NO_TIME
    year, month, day = _two(data, at) * 100 + _two(data, at + 2), _two(data, at + 5), _two(data, at + 8)
    hour, minute, second = _two(data, at + 11), _two(data, at + 14), _two(data, at + 17)
    if year < 1 or month < 1 or month > 12 or day < 1 or min(hour, minute, second) < 0:
        return NO_TIME
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > MONTH_DAYS[month] + (leap and month == 2) or hour > 23 or minute > 59 or second > 59:
        return NO_TIME
    at += 19
    ms = 0
    if data[at] == POINT:
        first = at + 1
        at = after_digits(data, first, end)
        if at == first:
            return NO_TIME
        for n in range(3):
            ms = ms * 10 + (data[first + n] - ZERO if first + n < at else 0)
    if at + 1 == end and (data[at] == Z or data[at] == SMALL_Z):
        zone = 0
    elif at + 6 == end and (data[at] == PLUS or data[at] == MINUS) and data[at + 3] == COLON:
        hours, minutes = _two(data, at + 1), _two(data, at + 4)
        if min(hours, minutes) < 0 or hours > 23 or minutes > 59:
            return NO_TIME
        zone = (hours * 60 + minutes) * (1 if data[at] == PLUS else -1)
    else:
        return NO_TIME
    begun = year - (month <= 2)  # years that begin in March: the day that leap years add is then the last one
    days = begun * 365 + begun // 4 - begun // 100 + begun // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 719_469
    return ((days * 24 + hour) * 60 + minute - zone) * MINUTE_MS + second * 1000 + ms


# -- names ---------------------------------------------------------------------------------------------------------


@inlined
def mixed_with(mixed: int, letter: int) -> int:
    return (mixed ^ letter) * 1_099_511_628_211


@inlined
def _slot_of(mixed: int, size: int, mask: int) -> int:
    mixed = mixed_with(mixed, size)
    return (mixed ^ (mixed >> 29)) & mask


@inlined
def code_at(data: Any, at: int, size: int, mixed: int, names: Any) -> Any:
    """The number of a name; one that is new gets the next one. -1 when it is not found soon."""
    slots, letters, starts, count = names
    mask = slots.size - 1
    slot = _slot_of(mixed, size, mask)
    number = np.int64(0)
    for _ in range(LOOKS):
        number = np.int64(slots[np.uint64(slot)])
        if number < 0:
            break
        first = starts[np.uint64(number)]
        if starts[np.uint64(number + 1)] - first == size:
            k = 0
            while k < size and letter_at(letters, first + k) == letter_at(data, at + k):
                k += 1
            if k == size:
                return number
        slot = (slot + 1) & mask
    if number >= 0:
        return -1
    number = count[0]
    first = starts[np.uint64(number)]
    for k in range(size):
        letters[np.uint64(first + k)] = letter_at(data, at + k)
    starts[np.uint64(number + 1)] = first + size
    slots[np.uint64(slot)] = number
    count[0] = number + 1
    return number


@scanning
def code_of(data: Any, slots: Any, letters: Any, starts: Any, count: Any) -> Any:
    """The number of a name; one that is new gets the next one. -1 when it is not found soon."""
    mixed = 0
    for k in range(data.size):
        mixed = mixed_with(mixed, letter_at(data, k))
    return code_at(data, 0, data.size, mixed, (slots, letters, starts, count))


@scanning
def enter(slots: Any, letters: Any, starts: Any, count: Any) -> None:
    """Enter all names into a hash table that is empty, as after it was made larger."""
    mask = slots.size - 1
    for number in range(count[0]):
        mixed = 0
        for k in range(starts[number], starts[number + 1]):
            mixed = mixed_with(mixed, letter_at(letters, k))
        slot = _slot_of(mixed, starts[number + 1] - starts[number], mask)
        while slots[np.uint64(slot)] >= 0:
            slot = (slot + 1) & mask
        slots[np.uint64(slot)] = number


@scanning
def number_anew(
    codes: Any,  # int32[n], -1 for no name; changed to the new numbers
    order: Any,  # int32[n] out: the old number of each new one
    slots: Any,  # int32, room: more than there are names, a power of two
) -> int:  # fmt: skip
    """Number names in the order in which they come; returns how many there are."""
    mask, count = slots.size - 1, 0
    for slot in range(slots.size):
        slots[slot] = -1
    for i in range(codes.size):
        code = np.int64(codes[i])
        if code < 0:
            continue
        slot = (code * 2_654_435_761 >> 7) & mask
        while True:
            number: Any = np.int64(slots[np.uint64(slot)])
            if number < 0 or order[np.uint64(number)] == code:
                break
            slot = (slot + 1) & mask
        if number < 0:
            number = count
            slots[np.uint64(slot)], order[np.uint64(count)] = count, code
            count += 1
        codes[i] = number
    return count
