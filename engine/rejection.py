"""What is refused of a body, and why: the reasons, their wording, and the checks of single fields.

Owns the reasons of `POST /v1/pings` and `/v1/events`. Must not know pings or events, nor how bodies are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from engine.rfc3339 import in_era, instant_ms, number_ms

if TYPE_CHECKING:
    from collections.abc import Callable

#: Longer ids are refused: they would be kept in memory and in every frame.
ID_MAX: Final = 256
#: JSON nested deeper than this is refused where it is kept: whoever writes it out again must not run out of stack.
DEPTH_MAX: Final = 32
_IN_ERA: Final = "must be in the years 1000 to 9999"
_TIME_MEND: Final = "write it such as `2026-11-25T17:00:00.120+09:00`, or as epoch milliseconds"
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


class RejectReason(StrEnum):
    """Why a ping, a sighting or an event was refused."""

    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    BAD_JSON = "bad_json"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One refused element of a body. `index` counts from 0; `id` is echoed if it was a text that can be."""

    index: int
    reason: RejectReason
    detail: str
    id: str | None = None


class BodyError(Exception):
    """A whole body that is refused. `status` is 400 or 413, `text` says what to mend."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RefusedError(Exception):
    """One element is refused: for the way out of a judge's nested steps. Never leaves the engine."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Broken:
    """An element that is no JSON; stands where its value would."""

    reason: RejectReason
    detail: str
    id: str | None = None


def shown(value: object) -> str:
    """A value as it came, short and in plain ASCII, for a message.

    >>> shown("Köln"), shown(True), shown([1] * 99)
    ('"K\\\\u00f6ln"', 'true', '[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ...')
    """
    if isinstance(value, dict):
        return "an object"
    try:
        text = json.dumps(value[:200] if isinstance(value, str | list) else value)
    except (RecursionError, ValueError, TypeError):  # the last of these when a part of it is `Broken`
        return "a value of many parts"
    return text if len(text) <= 40 else text[:37] + "..."


def refuse(reason: RejectReason, name: str, wrong: str, value: object, mend: str = "") -> RefusedError:
    """A refused field, in the house's wording: what is wrong, what came, how to mend it."""
    return RefusedError(reason, f"`{name}` {wrong}, got `{shown(value)}`" + (f", {mend}" if mend else ""))


def as_object(value: object, needs: str) -> dict[str, Any]:
    """An element as an object. Raises `RefusedError` for all else, and for one that holds what is no JSON."""
    if isinstance(value, Broken):
        raise RefusedError(value.reason, value.detail)
    if not isinstance(value, dict):
        raise RefusedError(RejectReason.WRONG_TYPE, f"must be an object with {needs}, got `{shown(value)}`")
    return value


def required(fields: dict[str, Any], names: tuple[str, ...], needs: str) -> None:
    """Raise `RefusedError` when one of the fields is missing. `null` is as good as missing."""
    for name in names:
        if fields.get(name) is None:
            raise RefusedError(RejectReason.MISSING_FIELD, f"`{name}` is missing, {needs}")


def id_fault(text: str) -> str | None:
    """What is wrong with a text as an id; None when it is good.

    >>> id_fault("d-42"), id_fault(""), id_fault("a\\0b")
    (None, 'must not be empty', 'must not hold control characters')
    """
    if not text:
        return "must not be empty"
    if len(text) > ID_MAX:
        return f"must have at most {ID_MAX} characters"
    if min(text) < " ":
        return "must not hold control characters"
    return None if is_text(text) else "must not hold half a surrogate pair"


def check_id(name: str, value: object) -> str:
    """A field as an id. Raises `RefusedError`."""
    if not isinstance(value, str):
        raise refuse(RejectReason.WRONG_TYPE, name, "must be a text", value, "put it in quotes")
    fault = id_fault(value)
    if fault is not None:
        raise refuse(RejectReason.OUT_OF_RANGE, name, fault, value)
    return value


def check_number(name: str, value: object) -> float:
    """A field as a finite number. Raises `RefusedError`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        mend = _number_mend(value) if isinstance(value, str) else ""
        raise refuse(RejectReason.WRONG_TYPE, name, "must be a number", value, mend)
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise RefusedError(RejectReason.NOT_FINITE, f"`{name}` must be a finite number")
    return number


def _number_mend(text: str) -> str:
    """How a text becomes a number, which it is already but for quotes, or is not.

    >>> _number_mend(" 35.6"), _number_mend("35,6")
    ('leave out the quotes', 'write digits, with `.` before the decimals, or leave it out')
    """
    try:
        finite = isfinite(float(text)) and "_" not in text
    except ValueError:
        finite = False
    return "leave out the quotes" if finite else "write digits, with `.` before the decimals, or leave it out"


def is_text(text: str) -> bool:
    """Whether a text can be written out: half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def echoed(value: object) -> str | None:
    """The `id` of a refused element, when it can be echoed."""
    found = value.id if isinstance(value, Broken) else value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) and len(found) <= ID_MAX and is_text(found) else None


def check_free(name: str, value: object) -> None:
    """Raise `RefusedError` unless free data can be kept and written out again: depth, numbers, texts."""
    _walk(name, value, DEPTH_MAX)


def _walk(name: str, value: object, depth: int) -> None:
    fault: Callable[[str], RefusedError] = lambda wrong: refuse(RejectReason.OUT_OF_RANGE, name, wrong, value)  # noqa: E731
    match value:
        case bool() | None:
            return
        case str():
            if not is_text(value):
                raise fault("must not hold half a surrogate pair")
        case int():
            if not _INT_MIN <= value <= _INT_MAX:
                raise fault("holds an integer beyond 64 bits")
        case float():
            if not isfinite(value):
                raise RefusedError(RejectReason.NOT_FINITE, f"`{name}` must be a finite number")
        case dict() | list():
            if depth == 0:
                raise RefusedError(RejectReason.OUT_OF_RANGE, f"`{name}` is nested deeper than {DEPTH_MAX}")
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(key, str) and not is_text(key):
                    raise fault("must not hold half a surrogate pair")
                _walk(f"{name}.{key}" if len(name) < 80 else name, part, depth - 1)


def check_time(name: str, value: object) -> int:
    """A field as an instant. Raises `RefusedError`."""
    if not isinstance(value, str):
        return number_ms(check_number(name, value))
    time_ms = instant_ms(value)
    if time_ms is None:
        raise refuse(RejectReason.WRONG_TYPE, name, "must be RFC 3339 with its zone", value, _TIME_MEND)
    return time_ms


def check_era(name: str, time_ms: int) -> None:
    """Raise `RefusedError` for an instant that cannot be written out."""
    if not in_era(time_ms):
        raise refuse(RejectReason.OUT_OF_RANGE, name, _IN_ERA, time_ms, _TIME_MEND)


def check_age(time_ms: int, now_ms: int, *, max_age_ms: int, max_ahead_ms: int) -> None:
    """Raise `RefusedError` for an instant too long before or after the time received."""
    if time_ms < now_ms - max_age_ms:
        in_seconds = now_ms - max_age_ms <= time_ms * 1000 <= now_ms + max_ahead_ms
        hint = ", is it in seconds instead of milliseconds?" if in_seconds else ""
        ago = f"`time` is {_span(now_ms - time_ms)} ago, at most {_span(max_age_ms)} is taken{hint}"
        raise RefusedError(RejectReason.TOO_OLD, _without_era(time_ms) or ago)
    if time_ms > now_ms + max_ahead_ms:
        ahead = f"`time` is {_span(time_ms - now_ms)} ahead, at most {_span(max_ahead_ms)} is taken"
        clock = f"{ahead}, is the device's clock right?"
        raise RefusedError(RejectReason.IN_FUTURE, _without_era(time_ms) or clock)


def _without_era(time_ms: int) -> str:
    """What is said of an instant that no calendar has: in days it would only be odd."""
    return "" if in_era(time_ms) else f"`time` {_IN_ERA}, got `{shown(time_ms)}`, {_TIME_MEND}"


def _span(span_ms: int) -> str:
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        if span_ms >= 2 * unit_ms:
            return f"{span_ms // unit_ms}{unit}"
    return f"{span_ms / 1000:g}s"
