"""Recordings as a stream of inputs: pings in batches, events and users in between, in the order of the file.

Owns which file is of which format, and that nothing in a file stops the reading. The formats themselves are in
`nearcast/recording_*.py`, what a good ping is in `engine/ping.py`. Memory stays flat however long a file is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import orjson

from engine.ping import Decoded, decode_pings, judge_pings
from engine.settings import PingLimits
from nearcast.recording_csv import read_csv
from nearcast.recording_gpx import read_gpx
from nearcast.recording_jsonl import read_jsonl
from nearcast.recording_owntracks import read_owntracks
from nearcast.recording_packed import Unpacked
from nearcast.recording_raw import BROKEN, RawPing, RecordedPings, RecordingError, Skipped, recorded
from nearcast.recording_sort import sorted_by_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from engine.wire import Happened, UserChanged

    Recorded = RecordedPings | Happened | UserChanged | Skipped

__all__ = ["RecordedPings", "RecordingError", "Skipped", "read_recording", "read_recordings", "read_users"]

_BATCH = 10_000
_LIMITS = PingLimits()
_HEAD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class _Format:
    """One format: how its files are called, how they begin, and its reader."""

    suffixes: tuple[str, ...]
    begins: re.Pattern[bytes]
    read: Callable[[BinaryIO, str, str | None], Iterator[Recorded]]


def read_recordings(paths: Iterable[Path], *, device: str | None = None, sort: bool = False) -> Iterator[Recorded]:
    """Several recordings, one after the other; with `sort` all of them together in order of time.

    Raises `RecordingError` for a file that cannot be read at all, and at the end of one that holds nothing of use.
    """
    every = (
        item
        for path in paths
        for item in _of_use(read_recording(path, device=device), f"`{path}`: nothing that stands in it can be used")
    )
    return sorted_by_time(every) if sort else every


def read_users(path: Path) -> Iterator[Recorded]:
    """The lines of a JSONL file of users, whatever its name; `.gz` is unpacked. Raises as `read_recordings` does."""
    useless = f"`{path}`: no line of it can be used, write each user as one JSON object a line"
    return _of_use(_read(path, None, _JSONL), useless)


def read_recording(path: Path, *, device: str | None = None) -> Iterator[Recorded]:
    """One recording, in the order of the file: JSONL, CSV, GPX or OwnTracks `.rec`, each also as `.gz`.

    `device` is the device of files that name none; GPX has its file's name where none is given. Lines that cannot be
    used come out as `Skipped`. Raises `RecordingError` when there is no such file, or it is of no known format.
    """
    return _read(path, device, None)


def _read(path: Path, device: str | None, known: _Format | None) -> Iterator[Recorded]:
    """A recording of a known format, or of that which its name or its beginning tells."""
    try:
        if path.suffix != ".gz":
            with path.open("rb") as stream:
                form = known or _format_of(stream, path.name, path)
                yield from form.read(stream, str(path), device)
            return
        with Unpacked(path) as unpacked:
            packed = cast(BinaryIO, unpacked)
            form = known or _format_of(packed, path.name.removesuffix(".gz"), path)
            try:
                yield from form.read(packed, str(path), device)
            except RecordingError:
                if unpacked.fault is None:
                    raise
            if unpacked.fault is not None:
                why = f"the rest of the file is not read: {unpacked.fault}"
                yield Skipped(str(path), unpacked.lines + 1, BROKEN, why)
    except OSError as error:
        raise RecordingError(f"`{path}` cannot be read: {error.strerror or error}") from error


def _of_use(items: Iterator[Recorded], useless: str) -> Iterator[Recorded]:
    """The items of a file. Raises `RecordingError` at its end when all that stands in it had to be left out."""
    good = bad = False
    for item in items:
        if isinstance(item, Skipped):
            bad = True
        else:
            good = True
        yield item
    if bad and not good:
        raise RecordingError(useless)


def _format_of(stream: BinaryIO, name: str, path: Path) -> _Format:
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    for known in _FORMATS:
        if suffix in known.suffixes:
            return known
    head = stream.read(_HEAD_BYTES)
    if not stream.seekable():
        raise RecordingError(f"`{path}` says nothing of its format, let its name end in .jsonl, .csv, .gpx or .rec")
    stream.seek(0)
    for known in _FORMATS:
        if known.begins.match(head):
            return known
    raise RecordingError(f"`{path}` is of no known format, give JSONL, CSV with a header, GPX or OwnTracks .rec")


def _stem(file: str) -> str:
    name = file.replace("\\", "/").rpartition("/")[2].removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _judged(raw: Iterator[RawPing | Skipped], file: str) -> Iterator[Recorded]:
    """Raw pings in batches, judged; what is refused comes out beside them."""
    while batch := list(islice(raw, _BATCH)):
        pings = [item for item in batch if isinstance(item, RawPing)]
        decoded = _decoded([ping.fields for ping in pings])
        yield from (item for item in batch if isinstance(item, Skipped))
        for refused in decoded.rejected:
            yield Skipped(file, pings[refused.index].line, refused.reason.value, refused.detail)
        if len(decoded.rows):
            refused_at = {refused.index for refused in decoded.rejected}
            yield recorded(decoded.rows, file, [ping.line for n, ping in enumerate(pings) if n not in refused_at])


def _decoded(fields: list[dict[str, Any]]) -> Decoded:
    """Raw pings, judged: through JSON, for whose reading there is a fast way; one by one what JSON cannot hold."""
    try:
        body = orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return judge_pings(fields, now_ms=0, limits=_LIMITS, recorded=True)
    return decode_pings(body, ndjson=False, now_ms=0, limits=_LIMITS, recorded=True)


_JSONL = _Format((".jsonl", ".ndjson", ".json"), re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]"), read_jsonl)
_FORMATS = (
    _JSONL,
    _Format(
        (".gpx", ".xml"),
        re.compile(rb"(?:\xef\xbb\xbf)?\s*<"),
        lambda stream, file, device: _judged(read_gpx(stream, file=file, device=device or _stem(file)), file),
    ),
    _Format(
        (".rec",),
        re.compile(rb"\d{4}-\d\d-\d\dT[^\t\n]+\t"),
        lambda stream, file, device: _judged(read_owntracks(stream, file=file, device=device), file),
    ),
    _Format(
        (".csv", ".tsv"),
        re.compile(rb"(?i)(?:\xef\xbb\xbf)?[^\n]*\b(?:lat|latitude|beacon)\b[^\n]*\n"),
        lambda stream, file, device: _judged(read_csv(stream, file=file, device=device), file),
    ),
)
