"""GPX 1.0 and 1.1 as a stream of raw pings.

Owns what of a GPX file is a ping: each track point with a time; waypoints and routes are places and plans, not fixes.
Must not know what happens to the pings. Reads XML without ever building a tree, and refuses what could hide entities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO
from xml.parsers import expat

from nearcast.recording_raw import BROKEN, NO_PING, RawPing, Skipped, number_or_text

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 1 << 16
#: No value that we read is longer; a longer text is kept cut, so that it cannot fill the memory.
_TEXT_MAX = 80
#: Elements inside a track point, by their name without prefix, and what they are called in a ping. `hAcc` is Apple's.
_FIELDS = {
    "time": "time",
    "speed": "speed",
    "course": "heading",
    "hAcc": "accuracy",
    "accuracy_horizontal": "accuracy",
}


def read_gpx(stream: BinaryIO, *, file: str, device: str) -> Iterator[RawPing | Skipped]:
    """The track points of a GPX file, in file order, as pings of `device`.

    A time without an offset is UTC, as GPX says. A file that breaks off, or that has a document type declaration, gives
    what stands before, then one `Skipped` at the line.
    """
    reader = _Reader(file, device)
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            reader.parser.Parse(chunk, False)
            yield from reader.taken()
        reader.parser.Parse(b"", True)
        yield from reader.taken()
    except (expat.ExpatError, _RefusedError, LookupError, ValueError) as error:
        # the latter two: an encoding that Python does not know, or that the parser cannot work in
        yield from reader.taken()
        why = f"not well-formed XML ({expat.ErrorString(error.code)})" if isinstance(error, expat.ExpatError) else error
        yield Skipped(file, reader.parser.CurrentLineNumber, BROKEN, f"the rest of the file is not read: {why}")


class _RefusedError(Exception):
    """The file is no GPX, or has something that no recording needs and that can do harm."""


class _Reader:
    """The handlers of one file, and the pings that they have found since they were last asked."""

    def __init__(self, file: str, device: str) -> None:
        self.file = file
        self.device = device
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._found: list[RawPing | Skipped] = []
        self._begun = False
        self._point: dict[str, Any] | None = None
        self._line = 0
        self._field: str | None = None
        self._value = ""

    def taken(self) -> list[RawPing | Skipped]:
        """What was found since the last call."""
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if not self._begun and local != "gpx":
            raise _RefusedError(f"its root is `{local[:_TEXT_MAX]}`, that of GPX is `gpx`: export it as GPX")
        self._begun = True
        if local == "trkpt":
            self._line = self.parser.CurrentLineNumber
            self._point = {"device": self.device}
            for theirs, ours in (("lat", "lat"), ("lon", "lng")):
                if theirs in attributes:
                    self._point[ours] = number_or_text(attributes[theirs])
        elif self._point is not None:
            self._field = _FIELDS.get(local)
            self._value = ""
        elif local in ("wpt", "rtept"):
            self._found.append(
                Skipped(self.file, self.parser.CurrentLineNumber, NO_PING, f"a `{local}` is no track point")
            )

    def _text(self, text: str) -> None:
        if self._field is not None and len(self._value) < _TEXT_MAX:
            self._value += text[:_TEXT_MAX]

    def _end(self, name: str) -> None:
        if self._point is None:
            return
        if name.rpartition(":")[2] == "trkpt":
            self._found.append(RawPing(self._line, self._point))
            self._point = None
        elif self._field is not None and self._value.strip():
            value = self._value.strip()
            self._point[self._field] = _utc(value) if self._field == "time" else number_or_text(value)
        self._field = None

    def _doctype(self, *_: object) -> None:
        raise _RefusedError("a document type declaration can hide entities, take it out")


def _utc(time: str) -> str:
    """The time with its offset; without one it is UTC.

    >>> _utc("2013-01-01T12:00:04"), _utc("2013-01-01T12:00:04+01:15")
    ('2013-01-01T12:00:04Z', '2013-01-01T12:00:04+01:15')
    """
    _, clock, rest = time.partition("T")
    return time if not clock or rest.endswith(("Z", "z")) or "+" in rest or "-" in rest else time + "Z"
