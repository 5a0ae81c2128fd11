"""Instants as they come in: RFC 3339 text or a number, to epoch milliseconds.

Owns which texts are instants. Must not know which instants are too old. What is finer than a millisecond is cut, never
rounded up: an instant must not lie in a window that had not begun. How instants are written out is `engine/ids.py`'s.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from math import floor, isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Letters = NDArray[np.uint8]

_MINUTE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_ZONE = re.compile(r"[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
#: The years 1000 to 9999: what is written out with four digits.
FIRST_MS, LAST_MS = -30_610_224_000_000, 253_402_300_799_999


def instant_ms(text: str) -> int | None:
    """The instant of an RFC 3339 text, in epoch milliseconds; None when it is none, or names no zone.

    A leap second, which only the last minute of a UTC day has, is the first second of the next one.

    >>> instant_ms("2026-11-25T17:00:00.1209+09:00"), instant_ms("2026-11-25t08:00:00z")
    (1795593600120, 1795593600000)
    >>> instant_ms("2026-11-25T17:00:00"), instant_ms("2026-11-25"), instant_ms("noon")
    (None, None, None)
    """
    zone_at = -1 if text.endswith(("Z", "z")) else -6
    minute_ms = _minute_ms(text[:16], text[zone_at:])
    second, fraction = text[17:19], text[19:zone_at]
    if minute_ms is None or text[16:17] != ":" or len(second) != 2 or not (second.isascii() and second.isdecimal()):
        return None
    milliseconds = 0
    if fraction:
        if fraction[0] != "." or not (fraction.isascii() and fraction[1:].isdecimal()):
            return None
        milliseconds = int(fraction[1:4].ljust(3, "0"))
    seconds = int(second)
    if seconds > 59 and (seconds > 60 or minute_ms % _DAY_MS != _DAY_MS - _MINUTE_MS):
        return None
    return minute_ms + seconds * 1000 + milliseconds


def number_ms(number: float) -> int:
    """Epoch milliseconds given as a finite number, cut.

    >>> number_ms(1795593600120.9), number_ms(-0.5)
    (1795593600120, -1)
    """
    assert isfinite(number), "the caller has judged it"
    return floor(number)


def in_era(time_ms: int) -> bool:
    """True for the instants that can be written out: the years 1000 to 9999."""
    return FIRST_MS <= time_ms <= LAST_MS


@lru_cache(maxsize=4096)
def _minute_ms(minute: str, zone: str) -> int | None:
    """The instant at which a minute begins. Devices that report together share it, so it is worked out once."""
    clock, offset = _MINUTE.fullmatch(minute), _ZONE.fullmatch(zone)
    if clock is None or offset is None:
        return None
    year, month, day, hour, minutes = map(int, clock.groups())
    try:
        days = date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    sign, hours_off, minutes_off = offset.groups()
    offset_min = 0 if sign is None else int(f"{sign}1") * (int(hours_off) * 60 + int(minutes_off))
    return days * _DAY_MS + (hour * 60 + minutes - offset_min) * _MINUTE_MS


# -- many at once --------------------------------------------------------------------------------------------------

#: Below this the plain way is as quick.
_MANY = 32
_SHORTEST, _LONGEST = len("2026-11-25T08:00:00Z"), len("2026-11-25T08:00:00.123456789+09:00")
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_MARKS = np.array([4, 7, 10, 13, 16])
_MARKED = np.frombuffer(b"--T::", np.uint8).reshape(-1, 1)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def instants_ms(texts: Sequence[str]) -> list[int | None]:
    """The instants of many texts, each as `instant_ms` has it. Texts of one length are read together, as columns.

    >>> instants_ms(["2026-11-25T08:00:00Z", "noon"])
    [1795593600000, None]
    """
    length = len(texts[0]) if texts else 0
    joined = "".join(texts)
    alike = len(texts) >= _MANY and _SHORTEST <= length <= _LONGEST and len(joined) == length * len(texts)
    if not alike or not joined.isascii() or set(map(len, texts)) != {length}:
        return list(map(instant_ms, texts))
    letters = np.frombuffer(joined.encode(), np.uint8).reshape(-1, length)
    good, times_ms = _together(np.ascontiguousarray(letters.T))
    found: list[int | None] = times_ms.tolist()
    for i in np.nonzero(~good)[0].tolist():
        found[i] = instant_ms(texts[i])
    return found


def _together(letters: Letters) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which texts are plain instants (others may still be some), and their epoch milliseconds.

    `letters` has a row for each place in the texts, a column for each text.
    """
    digits = letters - np.uint8(ord("0"))  # what is no digit comes out above 9
    good = (digits[_DIGITS] <= 9).all(axis=0) & (letters[_MARKS] == _MARKED).all(axis=0)
    year = _number(digits, 0, 4)
    month, day, hour, minute, second = (_number(digits, at, 2) for at in (5, 8, 11, 14, 17))
    good &= (year >= 1) & (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (day >= 1) & (day <= _MONTH_DAYS[np.where(good, month, 0)] + (leap & (month == 2)))
    zoned, rest_ms = _rest(letters, digits)
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    return good & zoned, seconds * 1000 + rest_ms


def _rest(letters: Letters, digits: Letters) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """What follows the second: a fraction and the zone. Which texts have both written well, and their milliseconds."""
    length = len(letters)
    good = letters[-1] == ord("Z")
    end = length - 1 if good.all() else length - 6
    rest_ms = np.zeros(letters.shape[1], np.int64)
    if end == length - 6:
        hours, minutes = _number(digits, end + 1, 2), _number(digits, end + 4, 2)
        behind = letters[end] == ord("+")
        good = (behind | (letters[end] == ord("-"))) & (letters[end + 3] == ord(":")) & (hours < 24) & (minutes < 60)
        good &= (digits[[end + 1, end + 2, end + 4, end + 5]] <= 9).all(axis=0)
        rest_ms -= np.where(behind, 1, -1) * (hours * 60 + minutes) * _MINUTE_MS
    if end > 19:
        good &= (letters[19] == ord(".")) & (end > 20) & (digits[20:end] <= 9).all(axis=0)
        places = min(end, 23) - 20
        rest_ms += _number(digits, 20, places) * 10 ** (3 - places)
    return good, rest_ms


def _number(digits: Letters, at: int, places: int) -> NDArray[np.int64]:
    number = np.zeros(digits.shape[1], np.int64)
    for place in range(at, at + places):
        number = number * 10 + digits[place]
    return number


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01, in years that begin in March: then the day that leap years add is the last one."""
    begun = year - (month <= 2)
    since_march = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: NDArray[np.int64] = begun * 365 + begun // 4 - begun // 100 + begun // 400 + since_march - 719_468
    return days
