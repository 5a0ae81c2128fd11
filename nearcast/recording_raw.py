"""What the readers of recordings pass on: raw pings with their line, and what had to be left out.

Owns the common face of all formats before the ping itself is judged, which `engine/ping.py` does for all of them alike.
Must not know any format.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from engine.rows import columns
from nearcast.fault import InputFaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.rows import Rows
    from engine.wire import Located


class RecordingError(InputFaultError):
    """A recording that cannot be read at all: missing, of no known format, without the columns it needs. One line."""


@dataclass(frozen=True, slots=True)
class RawPing:
    """One line of a recording, in the fields of `POST /v1/pings`, not judged yet. `line` counts from 1."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Skipped:
    """One line of a recording that was left out. `reason` is a word, for counting; `detail` says what to mend."""

    file: str
    line: int
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" + (f": {self.detail}" if self.detail else "")


#: Reasons of ours, beside those for which a ping is refused.
BROKEN = "broken"
NO_PING = "no_ping"


def number_or_text(text: str) -> float | int | str:
    """The number that is written, or the text itself when it is none: then the ping's judge says so.

    >>> number_or_text("12"), number_or_text(" 1.5 "), number_or_text("12 m"), number_or_text("nan")
    (12, 1.5, '12 m', 'nan')
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit() and len(stripped) <= 18:
        return int(stripped)
    if "_" in stripped:
        return text
    try:
        number = float(stripped)
    except ValueError:
        return text
    return number if isfinite(number) else text


@dataclass(frozen=True, slots=True)
class RecordedPings:
    """Good pings and sightings of a recording, in its order. Each is a request of its own, whatever `borders` say.

    They stand in `lines` of `file`, one for each; of those that were sorted it is not known.
    """

    located: Located
    file: str = ""
    lines: Sequence[int] = ()


def recorded(rows: Rows, file: str, lines: Sequence[int]) -> RecordedPings:
    """Rows that were judged, as they are passed on."""
    return RecordedPings(columns([rows]), file, lines)
