"""How a body of many elements is taken apart: an array, one object, or one object a line.

Owns what is still JSON. Must not know pings or events.

A body with `NaN` or a lone surrogate is no JSON; yet one broken ping must not harm its neighbours. So what is otherwise
good JSON is taken apart all the same, and what holds such a thing is refused alone.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from math import nan
from typing import TYPE_CHECKING, Final

import msgspec

from engine.rejection import BodyError, Broken, RejectReason, echoed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What stands where a body says `NaN` or `Infinity`. Known by identity: `1e400` is JSON, and harms its own field only.
_NO_JSON_NUMBER: Final = nan
#: Where a body is too deep to be read as a whole, elements deeper than this are refused by themselves.
_DEPTH_MAX: Final = 500
#: What tells the elements of an array apart: texts, runs of brackets, commas; a quote alone begins a text without end.
_TOKENS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]+|[\]}]+|,|"', re.DOTALL)


def body_elements(body: bytes, *, ndjson: bool, what: str, max_batch: int) -> list[object]:
    """The elements of a body: those of an array, one object, or one a line. Lines that are empty do not count.

    Raises `BodyError` 400 for what is no JSON, and for JSON that is no object or array; 413 above `max_batch`.
    `what` names an element: `ping`.

    >>> body_elements(b'[1, {"a": 2}]', ndjson=False, what="ping", max_batch=9)
    [1, {'a': 2}]
    """
    if ndjson:
        lines = ndjson_lines(body, what)
        check_batch(len(lines), max_batch, what)
        return [_line_value(line) for line in lines]
    value = parse(body, empty=f"send one {what} or an array", more="send lines as `application/x-ndjson`")
    if isinstance(value, dict | Broken):
        return [value]
    if not isinstance(value, list):
        raise BodyError(
            400, f"the body must be an object or an array, got `{shown(value)}`, send one {what} or an array"
        )
    check_batch(len(value), max_batch, what)
    return value


def ndjson_lines(body: bytes, what: str) -> list[bytes]:
    """The lines of a body that are not empty. Raises `BodyError` when there are none."""
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    if not lines:
        raise BodyError(400, f"the body is empty, send one {what} a line")
    return lines


def check_batch(count: int, max_batch: int, what: str) -> None:
    """Raise `BodyError` 413 when a body holds more elements than a request may."""
    if count > max_batch:
        raise BodyError(413, f"{count} {what}s in one body, at most {max_batch} are taken, send several requests")


def parse(body: bytes, *, empty: str, more: str) -> object:
    """The value of a body. Raises `BodyError` 400 for what is no JSON, `NaN` and lone surrogates let in.

    `empty` and `more` are the mends of a body without a value, and with more than one.
    """
    if not body or body.isspace():
        raise BodyError(400, f"the body is empty, {empty}")
    try:
        return parse_json(body)
    except UnicodeDecodeError as error:
        raise BodyError(400, f"the body is not UTF-8: byte {error.start} is `0x{body[error.start]:02x}`") from error
    except RecursionError as error:
        raise BodyError(400, "the body is nested too deep") from error
    except json.JSONDecodeError as error:
        hint = f", {more}" if error.msg == "Extra data" else ""
        raise BodyError(400, f"the body is no JSON: {_no_json(error)}{hint}") from error


def parse_json(text: bytes) -> object:
    """The value of a JSON text, or of one that would be JSON without `NaN`, `Infinity` and lone surrogates.

    Of an array, the elements that hold `NaN` or `Infinity`, or are nested too deep, are `Broken`; else the whole value
    is. Raises `json.JSONDecodeError`, `UnicodeDecodeError` and `RecursionError`.
    """
    whole = text.decode()
    with suppress(msgspec.MsgspecError, RecursionError):
        return msgspec.json.decode(text)
    try:
        return _slowly(whole)
    except RecursionError:
        flat, deep = _flattened(whole)
        if not deep:
            raise
    value = _slowly(flat)
    assert isinstance(value, list)
    for index in deep:
        value[index] = Broken(RejectReason.OUT_OF_RANGE, f"it is nested deeper than {_DEPTH_MAX}")
    return value


def _slowly(whole: str) -> object:
    odd: list[str] = []

    def no_number(token: str) -> float:
        odd.append(token)
        return _NO_JSON_NUMBER

    value = json.loads(whole, parse_constant=no_number, parse_int=_integer)
    if odd and isinstance(value, list):
        return [_unbroken(part) for part in value]
    return _unbroken(value) if odd else value


def _flattened(text: str) -> tuple[str, list[int]]:
    """An array with `null` for its elements that are nested too deep, and which these are; none where it is no array.

    One look at each quote, comma and run of brackets: nothing is read twice, whatever stands there.
    """
    pieces: list[str] = []
    deep: list[int] = []
    depth, deepest, index, begin, kept = 0, 0, 0, 1 + len(text) - len(text.lstrip()), 0
    if text[begin - 1 : begin] != "[":
        return text, []
    for token in _TOKENS.finditer(text):
        shown = token[0]
        if shown == '"':  # it has no end
            break
        if shown[0] in "[{":
            depth += len(shown)
            deepest = max(deepest, depth)
        elif shown[0] in "]}":
            depth -= len(shown)
        if depth == 0 or (depth == 1 and shown == ","):
            if deepest > _DEPTH_MAX:
                pieces += text[kept:begin], "null"
                kept = token.end() - 1
                deep.append(index)
            deepest, index, begin = 0, index + 1, token.end()
        if depth <= 0:
            break
    return "".join((*pieces, text[kept:])), deep


def _unbroken(value: object) -> object:
    if not isinstance(value, dict | list) or not any(part is _NO_JSON_NUMBER for part in _parts(value)):
        return value
    detail = "`NaN` and `Infinity` are no JSON, leave out what is not known"
    return Broken(RejectReason.NOT_FINITE, detail, echoed(value))


def _integer(digits: str) -> int | float:
    # Python refuses to read integers of thousands of digits; as a float they are infinite, which is what is judged.
    return int(digits) if len(digits) <= sys.int_info.default_max_str_digits else float(digits)


def _line_value(line: bytes) -> object:
    try:
        return parse_json(line)
    except UnicodeDecodeError:
        return Broken(RejectReason.BAD_JSON, "the line is not UTF-8")
    except RecursionError:
        return Broken(RejectReason.BAD_JSON, "the line is nested too deep")
    except json.JSONDecodeError as error:
        return Broken(RejectReason.BAD_JSON, f"the line is no JSON: {_no_json(error)}")


def _no_json(error: json.JSONDecodeError) -> str:
    """What is wrong, and where. Some of the decoder's texts end in the word that leads on to the place."""
    return f"{error.msg.lower().removesuffix(' at').rstrip(': ')} at character {error.pos}"


def _parts(value: object) -> Iterator[object]:
    """All that is inside of a value, without recursion."""
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, list):
            stack.extend(part)
        yield part
