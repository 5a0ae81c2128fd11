"""What the journal holds: the inputs of the fold, and the frame that carries them.

Owns the shapes on disk and, later, on Kafka. They carry a version; new fields are optional with a default; the type of
a field never changes. Must not know how inputs came in or where frames are kept. Instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import zstandard

from engine.ports import StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FRAME_VERSION = 1
#: A row's user when the ping named none, a fix's beacon.
NONE = -1
#: The columns that are numbers of `Located.strings`.
NAMES = ("device", "user", "beacon")


class _Tagged(msgspec.Struct, frozen=True, tag_field="input"):
    """The common root of inputs: each says in `input` which it is."""


class Located(_Tagged, frozen=True, tag="located", gc=False):
    """Accepted pings and sightings of one or more requests, as columns, in the order in which they are worked.

    `strings` is the table that `device`, `user` and `beacon` point into (int32; `NONE` where there is none). `time`
    is int64 epoch milliseconds, `lat lng accuracy` float64 (NaN: unknown accuracy, or a sighting's place), `speed
    heading rssi` float32 (NaN: unknown), `mocked` uint8. `borders` are the requests' ends, as row numbers: the
    last one is the number of rows. `received` (int64) is there in recordings, and where frames were joined: else all
    rows were received at the frame's `now_ms`.
    """

    strings: list[str]
    device: bytes
    user: bytes
    beacon: bytes
    time: bytes
    lat: bytes
    lng: bytes
    accuracy: bytes
    speed: bytes
    heading: bytes
    rssi: bytes
    mocked: bytes
    borders: list[int]
    received: bytes = b""

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """One column, as a read-only array over the frame's own bytes."""
        return np.frombuffer(getattr(self, name), dtype=COLUMNS[name])

    def part(self, start: int, stop: int) -> Located:
        """The rows from `start` to before `stop`, as one request."""
        parts = {name: getattr(self, name)[start * size : stop * size] for name, size in _SIZES.items()}
        return Located(strings=self.strings, borders=[stop - start], **parts)


class Packed(Located, frozen=True, tag="located", gc=False):
    """The same with `strings` as it stands in the frame: who reads many frames need not have a text of each name."""

    strings: msgspec.Raw  # type: ignore[assignment] # all else of it is the same


COLUMNS: dict[str, Any] = {
    "device": np.int32,
    "user": np.int32,
    "beacon": np.int32,
    "time": np.int64,
    "lat": np.float64,
    "lng": np.float64,
    "accuracy": np.float64,
    "speed": np.float32,
    "heading": np.float32,
    "rssi": np.float32,
    "mocked": np.uint8,
    "received": np.int64,
}
_SIZES = {name: np.dtype(kind).itemsize for name, kind in COLUMNS.items()}


class Happened(_Tagged, frozen=True, tag="event"):
    """An event about a user: `purchase`, `item.scanned`, ... A repeated (user, id) is a duplicate."""

    user: str
    id: str
    type: str
    time_ms: int
    data: dict[str, Any] = {}


class UserChanged(_Tagged, frozen=True, tag="user"):
    """A merge into what is known of a user, in the shape of `PUT /v1/users/{id}`; None removes a key.

    One that came as an event has that event's `id` and time: a repeated (user, id) is a duplicate, as of all events.
    """

    user: str
    attributes: dict[str, Any] = {}
    consent: dict[str, bool | None] = {}
    tokens: dict[str, Any] = {}
    locale: str | msgspec.UnsetType | None = msgspec.UNSET
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET
    id: str = ""
    time_ms: int = 0


class Ended(_Tagged, frozen=True, tag="ended"):
    """A delivery came to its end. Releases the limits when nothing of its decision was handed over."""

    key: str
    decision: str
    user: str
    outcome: str
    detail: str = ""
    attempts: int = 0


class Resent(_Tagged, frozen=True, tag="resent"):
    """A failed delivery is to be sent again: its limits are reserved anew, its `ttl` counts from now."""

    key: str
    decision: str
    user: str
    rule: str
    tags: list[str] = []
    place: str | None = None
    test: bool = False
    ttl_ms: int = 3_600_000


class Edited(_Tagged, frozen=True, tag="edited"):
    """A new version of the site comes into force. `files` maps each path in the site to its content.

    Where versions are kept beside the journal, `files` is empty, and `seq` tells which of two is the newer one.
    """

    version: str
    files: dict[str, bytes]
    seq: int = 0


class Erased(_Tagged, frozen=True, tag="erased"):
    """A user is forgotten: everything known, presence without transitions, what is pending."""

    user: str


Input = Located | Happened | UserChanged | Ended | Resent | Edited | Erased


class Frame(msgspec.Struct, frozen=True):
    """One step of the fold: its inputs, in order, with its `now_ms`. A frame without inputs is a tick."""

    now_ms: int
    inputs: list[Input]
    v: int = FRAME_VERSION


class _PackedFrame(Frame, frozen=True):
    """As it is read: whoever gets it gets a `Frame`, and sees of its inputs that they are `Packed`."""

    inputs: list[Packed | Happened | UserChanged | Ended | Resent | Edited | Erased]  # type: ignore[assignment]


class FrameError(StoreDamagedError):
    """A frame that cannot be read: broken, or of another version."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)
_packed_decoder = msgspec.msgpack.Decoder(_PackedFrame)


class _Zstd(local):
    """A thread's own: one that two threads use at once spoils what it gives, or ends the process."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()
#: Below this, compression costs more than it saves.
_PLAIN_MAX = 256


def encode_frame(now_ms: int, inputs: Sequence[Input]) -> bytes:
    """The frame as bytes: one byte that tells the packing (0 plain, 1 zstd), then MessagePack."""
    plain = _encoder.encode(Frame(now_ms, list(inputs)))
    return b"\0" + plain if len(plain) <= _PLAIN_MAX else b"\1" + _zstd.compress(plain)


def decode_frame(data: bytes) -> Frame:
    """Read a frame.

    Raises `FrameError` when it is broken or its version is not ours.

    >>> decode_frame(encode_frame(5, [Erased("u-1")])).inputs
    [Erased(user='u-1')]
    """
    return _decoded(data, _decoder.decode)


def read_frame(data: bytes) -> Frame:
    """The same, but where a frame holds nothing but a `Located` that is left `Packed`."""
    return _decoded(data, _read)


def _read(plain: bytes) -> Frame:
    frame = _packed_decoder.decode(plain)
    alone = len(frame.inputs) == 1 and isinstance(frame.inputs[0], Packed)
    return frame if alone or not frame.inputs else _decoder.decode(plain)


def _decoded(data: bytes, decode: Callable[[bytes], Frame]) -> Frame:
    if data[:1] not in (b"\0", b"\1"):
        raise FrameError(f"frame packed in an unknown way, got `{data[:1]!r}`, is it of a newer version")
    try:
        frame = decode(_zstd.decompress(data[1:]) if data[:1] == b"\1" else data[1:])
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise FrameError(f"frame of {len(data)} bytes cannot be read: {error}") from error
    if frame.v != FRAME_VERSION:
        raise FrameError(f"frame of version {frame.v}, this program reads {FRAME_VERSION}")
    return frame
