"""What a request asks for beside its body: query parameters, and the names in its path.

Owns how they are written and their limits. Raises `RefusedRequest` 400 for all that is not so.
"""

from __future__ import annotations

import re
from math import nan
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from connectors.http_answers import RefusedRequest
from engine.rejection import id_fault, shown
from engine.rfc3339 import in_era, instant_ms
from geo.mistake import did_you_mean
from rules.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import web

_DIGITS_MAX: Final = 18
#: Python's own reader takes `1_0` and other scripts' digits too.
_DEGREES: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_ENCODED: Final = "is it encoded as it should be?"


def wait_asked(request: web.Request) -> bool:
    """Whether the answer is to be held until the pings are decided.

    The step that decides pings is the one that keeps them, and no answer comes before they are kept. So they are
    decided by then, however short the wait, and nobody waits for longer.
    """
    if not request.query_string:
        return False
    text = request.query.get("wait")
    if text is None:
        return False
    if parse_duration(text) is None:
        raise _wrong("wait", "must be a duration", text, "such as `500ms`, at most 2 s")
    return True


def number(request: web.Request, name: str, *, default: int, most: int) -> int:
    """A count, 1 to `most`; asking for more is asking for `most`."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX) or int(text) == 0:
        raise _wrong(name, "must be a whole number from 1", text, f"at most {most}")
    return min(int(text), most)


def degrees(request: web.Request, name: str, most: int) -> float:
    """A latitude or longitude."""
    text = request.query.get(name)
    if text is None:
        raise RefusedRequest(400, f"`{name}` is missing, write `?lat=35.69&lng=139.70`")
    value = float(text) if _DEGREES.fullmatch(text) else nan
    if not abs(value) <= most:
        raise _wrong(name, f"must be from -{most} to {most} degrees", text, "write it such as `35.69`")
    return value


def since(request: web.Request) -> int | None:
    """The instant from which on, in epoch milliseconds."""
    text = request.query.get("since")
    if text is None:
        return None
    time_ms = int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX else instant_ms(text)
    if time_ms is None or not in_era(time_ms):
        raise _wrong("since", "must be RFC 3339 or epoch milliseconds", text, "such as `2026-11-25T08:00:00Z`")
    return time_ms


def word(request: web.Request, name: str, known: Collection[str]) -> str | None:
    """One of a few words."""
    text = request.query.get(name)
    if text is not None and text not in known:
        raise _wrong(name, "is not a word that is known here", text, did_you_mean(text, known))
    return text


def text_id(request: web.Request, name: str) -> str | None:
    """An id in the query."""
    text = request.query.get(name)
    if text is not None:
        _check(name, text)
    return text


def path_id(request: web.Request, name: str = "id") -> str:
    """An id in the path, decoded."""
    text = request.match_info[name]
    try:
        # what is no UTF-8 stays as it was sent, and would be another id
        unquote_to_bytes(request.rel_url.raw_path).decode()
    except UnicodeDecodeError as error:
        raise _wrong(name, "must be UTF-8 once it is decoded", text, _ENCODED) from error
    _check(name, text)
    return text


def _check(name: str, text: str) -> None:
    fault = id_fault(text)
    if fault is not None:
        raise _wrong(name, fault, text, _ENCODED)


def _wrong(name: str, wrong: str, text: str, mend: str) -> RefusedRequest:
    return RefusedRequest(400, f"`{name}` {wrong}, got `{shown(text)}`, {mend}")
