"""JSONL as a stream of inputs: one ping, sighting, event or user a line, told apart by their fields.

Owns the telling apart. What a good ping, event or user is, `engine/` says: the same as of a request.
Lines that can be pings are read many at a time, since nearly all lines of a recording are.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.body import parse_json
from engine.event import decode_events, user_change
from engine.ping import decode_pings
from engine.rejection import RefusedError, check_id
from engine.rows import GETTERS, Rows
from engine.settings import PingLimits
from nearcast.recording_raw import RecordedPings, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.wire import Happened, UserChanged

    Recorded = RecordedPings | Happened | UserChanged | Skipped

_CHUNK_BYTES = 1 << 21
_NO_LIMITS = PingLimits(max_batch=1 << 62, max_age_ms=1 << 62, max_ahead_ms=1 << 62)
_PLACE_FIELDS = frozenset({"lat", "lng", "beacon", "rssi"})
_USER_FIELDS = frozenset({"attributes", "consent", "locale", "timezone", "tokens"})


def read_jsonl(stream: BinaryIO, file: str, _device: str | None = None) -> Iterator[Recorded]:
    """The lines of a JSONL file, in file order; empty ones do not count."""
    first = 1
    while lines := stream.readlines(_CHUNK_BYTES):
        if first == 1:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        yield from _read_lines(lines, first, file)
        first += len(lines)


def _read_lines(lines: Sequence[bytes], first: int, file: str) -> Iterator[Recorded]:
    if all(map(_may_be_ping, lines)):
        yield from _pings(lines, range(first, first + len(lines)), file)
        return
    full = [(number, line) for number, line in enumerate(lines, first) if not line.isspace()]
    for pings, run in groupby(full, key=lambda numbered: _may_be_ping(numbered[1])):
        numbers, group = zip(*run, strict=True)
        if pings:
            yield from _pings(group, numbers, file)
        else:
            for number, line in zip(numbers, group, strict=True):
                yield _other(line, number, file)


def _may_be_ping(line: bytes) -> bool:
    return b'"device"' in line


def _pings(lines: Sequence[bytes], numbers: Sequence[int], file: str) -> Iterator[Recorded]:
    """A run of lines that can be pings. Those that are none after all split it."""
    decoded = decode_pings(b"".join(lines), ndjson=True, now_ms=0, limits=_NO_LIMITS, recorded=True)
    done = 0
    for position, refused in enumerate(decoded.rejected):
        index, number = refused.index, numbers[refused.index]
        other = _event_or_user(lines[index], number, file)
        if other is None:
            yield Skipped(file, number, refused.reason.value, refused.detail)
            continue
        good = index - position
        if good > done:
            yield RecordedPings(_part(decoded.rows, done, good))
            done = good
        yield other
    if done == 0 and len(decoded.rows):
        yield RecordedPings(decoded.rows)
    elif done < len(decoded.rows):
        yield RecordedPings(_part(decoded.rows, done, len(decoded.rows)))


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(*(column(rows)[start:stop] for column in GETTERS))


def _other(line: bytes, number: int, file: str) -> Recorded:
    """A line that is no ping."""
    other = _event_or_user(line, number, file)
    if other is not None:
        return other
    decoded = decode_pings(line, ndjson=True, now_ms=0, limits=_NO_LIMITS, recorded=True)
    refused = decoded.rejected[0]
    return Skipped(file, number, refused.reason.value, refused.detail)


def _event_or_user(line: bytes, number: int, file: str) -> Happened | UserChanged | Skipped | None:
    """A line as an event or a user, or as a bad one of these; None when it is meant as something else."""
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if "type" in value and not value.keys() & _PLACE_FIELDS:
        decoded = decode_events(line, ndjson=True, now_ms=0, limits=_NO_LIMITS, keep_ms=1 << 62)
        if decoded.inputs:
            return decoded.inputs[0]
        return Skipped(file, number, decoded.rejected[0].reason.value, decoded.rejected[0].detail)
    if "id" in value and "device" not in value and (value.keys() & _USER_FIELDS or value.keys() == {"id"}):
        return _user(value, number, file)
    return None


def _user(value: dict[str, Any], number: int, file: str) -> UserChanged | Skipped:
    try:
        return user_change(check_id("id", value["id"]), {k: v for k, v in value.items() if k != "id"})
    except RefusedError as error:
        return Skipped(file, number, error.reason.value, error.detail)
