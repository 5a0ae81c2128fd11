"""Instants as they come in: RFC 3339 text or a number, to epoch milliseconds.

Owns which texts are instants. Must not know which instants are too old. What is finer than a millisecond is cut, never
rounded up: an instant must not lie in a window that had not begun. How instants are written out is `engine/ids.py`'s.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from math import floor, isfinite

_MINUTE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_ZONE = re.compile(r"[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_MINUTE_MS = 60_000
#: The years 1 to 9999: what can be written out.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


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
    """True for the instants that can be written out: the years 1 to 9999."""
    return _FIRST_MS <= time_ms <= _LAST_MS


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
