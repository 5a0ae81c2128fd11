"""JSONL as a stream of inputs: one ping, sighting, event or user a line, told apart by their fields.

Owns the telling apart. What a good ping, event or user is, `engine/` says: the same as of a request.
Lines that are plain pings are read many at a time, since nearly all lines of a recording are.
"""

from __future__ import annotations

from itertools import chain, groupby, pairwise
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from engine.body import parse_json
from engine.event import decode_events, user_change
from engine.lines import BLANK, PLAIN, LineReader
from engine.ping import decode_pings
from engine.rejection import RefusedError, check_id
from engine.rows import GETTERS, Rows
from engine.settings import PingLimits
from nearcast.ahead import ahead
from nearcast.recording_raw import RecordedPings, Skipped, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.lines import Lines
    from engine.rejection import Rejected
    from engine.wire import Happened, UserChanged

    Recorded = RecordedPings | Happened | UserChanged | Skipped

#: What is made of so much, and the table of names in it, stays near the processor.
CHUNK_BYTES = 1 << 20
_NO_LIMITS = PingLimits(max_batch=1 << 62, max_age_ms=1 << 62, max_ahead_ms=1 << 62)
_PLACE_FIELDS = frozenset({"lat", "lng", "beacon", "rssi"})
_USER_FIELDS = frozenset({"attributes", "consent", "locale", "timezone", "tokens"})
_BOM = b"\xef\xbb\xbf"


def read_jsonl(stream: BinaryIO, file: str, _device: str | None = None) -> Iterator[Recorded]:
    """The lines of a JSONL file, in file order; empty ones do not count."""
    return chain.from_iterable(ahead(_parts(stream, file)))


def _parts(stream: BinaryIO, file: str) -> Iterator[list[Recorded]]:
    first, reader = 1, LineReader()
    for text in _whole_lines(stream):
        yield list(_read(text.removeprefix(_BOM) if first == 1 else text, first, file, reader))
        first += text.count(b"\n")


def _whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The file, some whole lines at a time."""
    while text := stream.read(CHUNK_BYTES):
        yield text if text.endswith(b"\n") else text + stream.readline()


def _read(text: bytes, first: int, file: str, reader: LineReader) -> Iterator[Recorded]:
    lines = reader.read(text)
    if (lines.kind == PLAIN).all():
        if lines.kind.size:
            yield RecordedPings(lines.pings, file, range(first, first + lines.kind.size))
    else:
        yield from _mixed(text, lines, first, file)


def _mixed(text: bytes, lines: Lines, first: int, file: str) -> Iterator[Recorded]:
    """Runs of plain lines, and what stands between them."""
    full = np.nonzero(lines.kind != BLANK)[0]
    plain = lines.kind[full] == PLAIN
    turns = [0, *(np.nonzero(np.diff(plain))[0] + 1).tolist(), full.size]
    done = 0
    for start, stop in pairwise(turns):
        if start == stop:
            continue
        if plain[start]:
            pings = lines.pings.part(done, done + stop - start)
            yield RecordedPings(pings, file, (full[start:stop] + first).tolist())
            done += stop - start
        else:
            at = full[start:stop]
            odd = [text[i:j] for i, j in zip(lines.begins[at].tolist(), lines.begins[at + 1].tolist(), strict=True)]
            yield from _odd([*zip((at + first).tolist(), odd, strict=True)], file)


def _odd(lines: Sequence[tuple[int, bytes]], file: str) -> Iterator[Recorded]:
    """Lines with their numbers: those that can be pings are judged many at a time, the others one by one."""
    full = (numbered for numbered in lines if not numbered[1].isspace())
    for pings, run in groupby(full, key=lambda numbered: b'"device"' in numbered[1]):
        if pings:
            numbers, group = zip(*run, strict=True)
            yield from _pings(group, numbers, file)
        else:
            for number, line in run:
                yield _other(line, number, file)


def _pings(lines: Sequence[bytes], numbers: Sequence[int], file: str) -> Iterator[Recorded]:
    """A run of lines that can be pings. Those that are none after all split it."""
    decoded = decode_pings(b"".join(lines), ndjson=True, now_ms=0, limits=_NO_LIMITS, recorded=True)
    refused_at = {refused.index for refused in decoded.rejected}
    kept = [number for n, number in enumerate(numbers) if n not in refused_at]
    done = 0
    for position, refused in enumerate(decoded.rejected):
        index, number = refused.index, numbers[refused.index]
        other = _event_or_user(lines[index], number, file)
        if other is None:
            yield _left_out(lines[index], number, file, refused)
            continue
        good = index - position
        if good > done:
            yield recorded(_part(decoded.rows, done, good), file, kept[done:good])
            done = good
        yield other
    if done < len(decoded.rows):
        yield recorded(_part(decoded.rows, done, len(decoded.rows)), file, kept[done:])


def _part(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(*(column(rows)[start:stop] for column in GETTERS))


def _other(line: bytes, number: int, file: str) -> Recorded:
    """A line that is no ping."""
    other = _event_or_user(line, number, file)
    if other is not None:
        return other
    decoded = decode_pings(line, ndjson=True, now_ms=0, limits=_NO_LIMITS, recorded=True)
    return _left_out(line, number, file, decoded.rejected[0])


def _left_out(line: bytes, number: int, file: str, refused: Rejected) -> Skipped:
    """A line that nothing can be made of. An array, or JSON that goes on in the next line, is mended in one way."""
    text = line.strip()
    mend = ", write one object a line" if text.startswith(b"[") or text == b"{" else ""
    return Skipped(file, number, refused.reason.value, refused.detail + mend)


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
