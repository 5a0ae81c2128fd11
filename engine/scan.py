"""Plain pings and sightings in JSON, read by one kernel: the fast way in, for bodies and for recordings.

Owns which objects are plain: without escapes, each field of a ping given once and of its type, with good values. Must
not know beacons, nor refuse anything: `engine/ping.py` judges what is not plain, and would say the same of what is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.scan_values import (
    CLOSE,
    COLON,
    COMMA,
    ESCAPE,
    LIST,
    LIST_END,
    MINUS,
    NEWLINE,
    NO_TIME,
    NULL,
    OPEN,
    QUOTE,
    SPACE,
    UNREAD,
    after_blanks,
    after_word,
    code_at,
    decimal,
    inlined,
    instant,
    is_digit,
    letter_at,
    mixed_with,
    number,
    scanning,
    word,
    word_at,
)

#: What became of a line.
PLAIN, ODD, BLANK = 0, 1, 2
#: One ping or sighting. NaN, `NO_TIME` and -1 stand for what was not given; names are numbers of a `Names`.
PING = np.dtype(
    [
        ("time", np.int64), ("received", np.int64), ("lat", np.float64), ("lng", np.float64), ("accuracy", np.float64),
        ("speed", np.float32), ("heading", np.float32), ("rssi", np.float32),
        ("device", np.int32), ("user", np.int32), ("beacon", np.int32), ("mocked", np.uint8),
    ],
    align=True,
)  # fmt: skip
#: No plain object is shorter.
SHORTEST = len('{"device":"d","time":0,"lat":0,"lng":0}')
#: As `engine/rejection.py`, `engine/beacons.py` and `engine/rows.py` have them; a test holds them equal.
ID_MAX, RSSI_MIN, RSSI_MAX, MOST = 256, -127.0, 20.0, 3.4028234663852886e38
#: Deeper values are not looked through.
DEPTH_MAX = 60

_DEVICE, _USER, _BEACON, _TIME, _RECEIVED, _LAT, _LNG, _ACCURACY, _SPEED, _HEADING, _RSSI, _MOCKED = range(12)
_UNKNOWN = 12
_DEVICE_WORD, _USER_WORD, _BEACON_WORD, _TIME_WORD, _RECEIVED_WORD = map(
    word, ("device", "user", "beacon", "time", "received")
)
_LAT_WORD, _LNG_WORD, _ACCURACY_WORD, _SPEED_WORD, _HEADING_WORD, _RSSI_WORD, _MOCKED_WORD = map(
    word, ("lat", "lng", "accuracy", "speed", "heading", "rssi", "mocked")
)
_FIX_NEEDS = 1 << _DEVICE | 1 << _TIME | 1 << _LAT | 1 << _LNG
_SIGHTING_NEEDS = 1 << _DEVICE | 1 << _TIME | 1 << _BEACON | 1 << _RSSI
_PLACE = 1 << _LAT | 1 << _LNG


# -- texts, and what nobody reads ----------------------------------------------------------------------------------


@inlined
def _text_end(data: Any, at: int, end: int) -> int:
    """Where the text that begins at `at` is closed; -1 when it is not, or holds an escape or a control character."""
    while at < end:
        letter = letter_at(data, at)
        if letter == QUOTE:
            return at
        if letter == ESCAPE or letter < SPACE:
            return -1
        at += 1
    return -1


@inlined
def _after_colon(data: Any, at: int, end: int) -> int:
    """Where the value begins whose key was closed before `at`; -1 when none does."""
    at = after_blanks(data, at, end)
    if at >= end or letter_at(data, at) != COLON:
        return -1
    at = after_blanks(data, at + 1, end)
    return at if at < end else -1


@inlined
def _after_key(data: Any, at: int, end: int) -> int:
    """Where the value begins whose key begins at `at`; -1 when none does."""
    at = after_blanks(data, at, end)
    if at >= end or letter_at(data, at) != QUOTE:
        return -1
    at = _text_end(data, at + 1, end)
    return _after_colon(data, at + 1, end) if at >= 0 else -1


@inlined
def _after_single(data: Any, at: int, end: int) -> Any:
    """Where a value without parts ends, -1 when it is not plain."""
    letter = letter_at(data, at)
    if letter == QUOTE:
        at = _text_end(data, at + 1, end)
        return at + 1 if at >= 0 else -1
    if letter == MINUS or is_digit(letter):
        at, _, _, _ = number(data, at + (letter == MINUS), end)
        return at
    return after_word(data, at, end)


@scanning
def _after_value(data: Any, at: int, end: int) -> int:
    """Where a value that nobody reads ends; -1 when it is not plain: no JSON, with escapes, or nested deep."""
    depth, kinds = 0, 0
    while True:
        letter = letter_at(data, at)
        if letter in (OPEN, LIST):
            if depth == DEPTH_MAX:
                return -1
            depth, kinds = depth + 1, kinds << 1 | (letter == OPEN)
            at = after_blanks(data, at + 1, end)
            if at >= end:
                return -1
            if letter_at(data, at) != (CLOSE if kinds & 1 else LIST_END):
                at = _after_key(data, at, end) if kinds & 1 else at
                if at < 0:
                    return -1
                continue
            at, depth, kinds = at + 1, depth - 1, kinds >> 1
        else:
            at = _after_single(data, at, end)
            if at < 0:
                return -1
        more = False
        while depth > 0 and not more:
            at = after_blanks(data, at, end)
            if at >= end:
                return -1
            more = letter_at(data, at) == COMMA
            if more:
                at = _after_key(data, at + 1, end) if kinds & 1 else after_blanks(data, at + 1, end)
                if at < 0 or at >= end:
                    return -1
            elif letter_at(data, at) == (CLOSE if kinds & 1 else LIST_END):
                at, depth, kinds = at + 1, depth - 1, kinds >> 1
            else:
                return -1
        if not more:
            return at


# -- objects -------------------------------------------------------------------------------------------------------


@inlined
def _key(data: Any, at: int, end: int) -> Any:
    """Where the text that begins at `at` is closed, and its letters as one number; `end` when it is not plain."""
    first, key = at, 0
    while at < end:
        letter = letter_at(data, at)
        if letter == QUOTE:
            break
        if letter == ESCAPE or letter < SPACE:
            return end, -1
        key = (key << 8) | letter
        at += 1
    return at, key if at - first <= 8 else -1


@inlined
def _field(key: int) -> int:
    """Which field a key is."""
    if key == _DEVICE_WORD:
        return _DEVICE
    if key == _TIME_WORD:
        return _TIME
    if key == _LAT_WORD:
        return _LAT
    if key == _LNG_WORD:
        return _LNG
    if key == _ACCURACY_WORD:
        return _ACCURACY
    if key == _USER_WORD:
        return _USER
    if key == _SPEED_WORD:
        return _SPEED
    if key == _HEADING_WORD:
        return _HEADING
    if key == _RSSI_WORD:
        return _RSSI
    if key == _BEACON_WORD:
        return _BEACON
    if key == _RECEIVED_WORD:
        return _RECEIVED
    return _MOCKED if key == _MOCKED_WORD else _UNKNOWN


@inlined
def _take_name(field: int, data: Any, at: int, end: int, row: Any, names: Any) -> int:
    """Read a name that begins at `at`; where it ends, -1 when it is not plain."""
    first, mixed = at, 0
    while at < end:
        letter = letter_at(data, at)
        if letter == QUOTE:
            break
        if letter == ESCAPE or letter < SPACE:
            return -1
        mixed = mixed_with(mixed, letter)
        at += 1
    size = at - first
    if at >= end or size == 0 or size > ID_MAX:
        return -1
    code = code_at(data, first, size, mixed, names)
    if code < 0:
        return -1
    if field == _DEVICE:
        row.device = code
    elif field == _USER:
        row.user = code
    else:
        row.beacon = code
    return at + 1


@inlined
def _take_number(field: int, data: Any, at: int, end: int, row: Any) -> Any:
    """Read a number that begins at `at`; where it ends, -1 when it is not plain."""
    negative = letter_at(data, at) == MINUS
    at, whole, places, integer = number(data, at + negative, end)
    if at < 0 or places == UNREAD:
        return -1
    if field in (_TIME, _RECEIVED):
        if integer:
            time_ms = -whole if negative else whole
        else:
            value = decimal(whole, places)
            if not value < 1e17:  # NaN is not
                return -1
            time_ms = np.int64(np.floor(-value if negative else value))
        if field == _TIME:
            row.time = time_ms
        else:
            row.received = time_ms
        return at
    value = decimal(whole, places)
    if value != value or (integer and negative and whole == 0):
        return -1
    if negative:
        value = -value
    if field == _LAT:
        row.lat = value
        return at if abs(value) <= 90.0 else -1
    if field == _LNG:
        row.lng = value
        return at if abs(value) <= 180.0 else -1
    if field == _RSSI:
        row.rssi = value if abs(value) <= MOST else np.nan
        heard = RSSI_MIN <= value <= RSSI_MAX and value != 0.0
        row.mocked |= 0 if heard else 2  # in the way only until it is known whether this is a sighting
        return at
    known = value if 0.0 <= value <= MOST else np.nan
    if field == _ACCURACY:
        row.accuracy = known
    elif field == _SPEED:
        row.speed = known
    elif field == _HEADING:
        row.heading = known
    else:
        return -1
    return at


@inlined
def _take(field: int, data: Any, at: int, end: int, row: Any, names: Any) -> Any:
    """Read the value of a field that begins at `at`; where it ends, -1 when it is not plain, -2 - end for a null."""
    letter = letter_at(data, at)
    if field == _UNKNOWN:
        return _after_value(data, at, end)
    if letter == QUOTE:
        if field in (_DEVICE, _USER, _BEACON):
            return _take_name(field, data, at + 1, end, row, names)
        close = _text_end(data, at + 1, end)
        if close < 0 or field not in (_TIME, _RECEIVED):
            return -1
        time_ms = instant(data, at + 1, close)
        if field == _TIME:
            row.time = time_ms
        else:
            row.received = time_ms
        return close + 1 if time_ms != NO_TIME else -1
    if letter == MINUS or is_digit(letter):
        return _take_number(field, data, at, end, row)
    if at + 4 <= end and word_at(data, at, at + 4) == NULL:
        return -2 - (at + 4)
    stop = after_word(data, at, end)
    if field != _MOCKED:
        return -1
    row.mocked |= stop == at + 4
    return stop


@inlined
def _object(data: Any, at: int, end: int, row: Any, names: Any, recorded: bool) -> int:
    """Read the object that begins at `at` into a row; where it ends, -1 when it is not plain."""
    row.time, row.received, row.lat, row.lng, row.accuracy = NO_TIME, NO_TIME, np.nan, np.nan, np.nan
    row.speed, row.heading, row.rssi = np.nan, np.nan, np.nan
    row.device, row.user, row.beacon, row.mocked = -1, -1, -1, 0
    if at >= end or letter_at(data, at) != OPEN:
        return -1
    seen, given = 0, 0
    while True:
        at = after_blanks(data, at + 1, end)
        if at >= end or letter_at(data, at) != QUOTE:
            return -1
        at, key = _key(data, at + 1, end)
        field = _field(key)
        if field == _RECEIVED and not recorded:
            field = _UNKNOWN
        at = _after_colon(data, at + 1, end)
        if at < 0:
            return -1
        if field != _UNKNOWN:
            if seen >> field & 1:
                return -1  # given twice; also, no object may name more than there is room for
            seen |= 1 << field
        at = _take(field, data, at, end, row, names)
        if at == -1:
            return -1
        given |= (at >= 0) << field
        at = after_blanks(data, at if at >= 0 else -2 - at, end)
        if at >= end or letter_at(data, at) != COMMA:
            break
    if at >= end or letter_at(data, at) != CLOSE:
        return -1
    faint = row.mocked > 1
    row.mocked &= 1
    if given >> _BEACON & 1:
        good = given & _SIGHTING_NEEDS == _SIGHTING_NEEDS and given & _PLACE == 0 and not faint
    else:
        good = given & _FIX_NEEDS == _FIX_NEEDS
    return at + 1 if good else -1


@scanning
def scan_lines(
    data: Any,  # uint8[size], whole lines
    kind: Any,  # uint8[n] out: PLAIN, ODD or BLANK, for each line
    begins: Any,  # int64[n + 1] out: where each line begins
    rows: Any,  # PING[n] out; those of lines that are not plain hold nothing of use
    slots: Any, letters: Any, starts: Any, count: Any,  # see `Names`; there is room for all names of the lines
    first_ms: int, last_ms: int,  # from when to when a time may be
    recorded: bool,  # whether `received` is read, and judged as `time` is
) -> int:  # fmt: skip
    """Read objects, one a line; returns how many lines there are."""
    names = (slots, letters, starts, count)
    at, n = 0, 0
    while at < data.size:
        end = at
        while end < data.size and letter_at(data, end) != NEWLINE:
            end += 1
        begins[n] = at
        at = after_blanks(data, at, end)
        row = rows[np.uint64(n)]
        if at == end:
            kind[n] = BLANK
        else:
            at = _object(data, at, end, row, names, recorded)
            good = at >= 0 and after_blanks(data, at, end) == end and first_ms <= row.time <= last_ms
            good = good and (row.received == NO_TIME or first_ms <= row.received <= last_ms)
            kind[n] = PLAIN if good else ODD
        at, n = end + 1, n + 1
    begins[n] = min(at, data.size)
    return n


@scanning
def scan_body(
    data: Any,  # uint8[size]
    rows: Any,  # PING[n] out
    slots: Any, letters: Any, starts: Any, count: Any,  # see `Names`; there is room for all names of the body
    first_ms: int, last_ms: int,  # from when to when a time may be
) -> Any:  # fmt: skip
    """Read an array of objects, or one: how many there are, whether their times ascend, whether any is a sighting.

    0 when anything in it is not plain, and when there are more than rows.
    """
    names = (slots, letters, starts, count)
    end = data.size
    at = after_blanks(data, 0, end)
    many = at < end and letter_at(data, at) == LIST
    at = after_blanks(data, at + 1, end) if many else at
    n, ascending, heard, before_ms = 0, True, False, NO_TIME
    while True:
        if n == rows.size:
            return 0, False, False
        row = rows[np.uint64(n)]
        at = _object(data, at, end, row, names, False)
        if at < 0 or row.time < first_ms or row.time > last_ms:
            return 0, False, False
        n += 1
        ascending &= before_ms <= row.time
        heard |= row.beacon >= 0
        before_ms = row.time
        at = after_blanks(data, at, end)
        if not many or at >= end or letter_at(data, at) != COMMA:
            break
        at = after_blanks(data, at + 1, end)
    if many and (at >= end or letter_at(data, at) != LIST_END or after_blanks(data, at + 1, end) != end):
        return 0, False, False
    return (n, ascending, heard) if many or at == end else (0, False, False)
