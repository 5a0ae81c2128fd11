"""OwnTracks Recorder's `.rec` files as a stream of raw pings.

Owns the layout of such a line (`received TAB kind TAB JSON`) and what of its JSON is a ping: `_type: location`. Must
not know what happens to the pings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from nearcast.recording_raw import BROKEN, NO_PING, RawPing, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterator

_decode = msgspec.json.Decoder().decode
_KMH_IN_MS = 1 / 3.6


def read_owntracks(stream: BinaryIO, *, file: str, device: str | None) -> Iterator[RawPing | Skipped]:
    """The locations of a `.rec` file, in file order.

    The device is `device`, else what the message's topic names (`owntracks/USER/DEVICE` gives `USER/DEVICE`), else its
    `tid`. The line's own time is when the Recorder received it. Other messages (lwt, transition, waypoint, ...) are
    `Skipped` with their type.
    """
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        parts = line.split(b"\t", 2)
        try:
            message = _decode(parts[2]) if len(parts) == 3 else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            message = None
        if not isinstance(message, dict):
            yield Skipped(file, number, BROKEN, "a line of OwnTracks Recorder is time, tab, kind, tab, JSON")
        elif message.get("_type") != "location":
            yield Skipped(file, number, NO_PING, f"a message of type `{message.get('_type')}` is no location")
        else:
            yield RawPing(number, _ping(message, device, parts[0].decode("utf-8", "replace").strip()))


def _ping(message: dict[str, Any], device: str | None, received: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"received": received}
    name = device or _topic(message.get("topic")) or message.get("tid")
    if name is not None:
        fields["device"] = name
    seconds = message.get("tst")
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        fields["time"] = round(seconds * 1000)
    elif seconds is not None:
        fields["time"] = seconds
    for theirs, ours in (("lat", "lat"), ("lon", "lng"), ("acc", "accuracy"), ("cog", "heading")):
        if theirs in message:
            fields[ours] = message[theirs]
    speed = message.get("vel")
    if isinstance(speed, int | float) and not isinstance(speed, bool):
        fields["speed"] = speed * _KMH_IN_MS
    return fields


def _topic(topic: object) -> str | None:
    """The device that a topic names.

    >>> _topic("owntracks/jane/phone"), _topic("owntracks"), _topic(None)
    ('jane/phone', None, None)
    """
    parts = topic.split("/") if isinstance(topic, str) else []
    return "/".join(parts[1:3]) if len(parts) >= 3 else None
