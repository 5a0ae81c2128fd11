"""CSV with the header names of a ping as a stream of raw pings.

Owns how a header is read and how a cell becomes a field. Must not know what happens to the pings.
"""

from __future__ import annotations

import codecs
import csv
from typing import TYPE_CHECKING, Any, BinaryIO

from nearcast.recording_raw import BROKEN, RawPing, RecordingError, Skipped, number_or_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_DELIMITERS = ",;\t"
_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})
#: What other programs call our fields: only to say how to rename them.
_RENAME = {
    "latitude": "lat",
    "longitude": "lng",
    "lon": "lng",
    "long": "lng",
    "timestamp": "time",
    "time": "time",
    "tracked_at": "time",
    "device_id": "device",
    "vehicle_id": "device",
    "user_id": "user",
    "accuracy_horizontal": "accuracy",
    "bearing": "heading",
}


def _flag(cell: str) -> bool | str:
    word = cell.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else cell


def _text(cell: str) -> str:
    return cell


_FIELDS: dict[str, Callable[[str], Any]] = {
    "id": _text,
    "device": _text,
    "user": _text,
    "time": number_or_text,
    "received": number_or_text,
    "lat": number_or_text,
    "lng": number_or_text,
    "accuracy": number_or_text,
    "speed": number_or_text,
    "heading": number_or_text,
    "mocked": _flag,
    "beacon": _text,
    "rssi": number_or_text,
    "tx": number_or_text,
}


def read_csv(stream: BinaryIO, *, file: str, device: str | None) -> Iterator[RawPing | Skipped]:
    """The rows of a CSV file, in file order; `,`, `;` or a tab between cells, UTF-8, quotes as usual.

    Empty lines before the header do not count. Columns that a ping does not have are ignored, empty cells are missing
    fields. `device` stands in where the file has no such column. Raises `RecordingError` when the header lacks what
    every ping needs.
    """
    text = codecs.iterdecode(stream, "utf-8-sig", errors="replace")
    head, first = next(((n, line) for n, line in enumerate(text, 1) if line.strip()), (0, ""))
    if not head:
        raise RecordingError(f"`{file}` has no header, begin it with one such as `device,time,lat,lng`")
    delimiter = max(_DELIMITERS, key=lambda mark: len(_known(_cells(first, mark))))
    columns = _cells(first, delimiter)
    _check_header(columns, f"{file}:{head}", device)
    convert = [(n, name, _FIELDS[name]) for n, name in enumerate(columns) if name in _FIELDS]
    rows = csv.reader(text, delimiter=delimiter)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Skipped(file, rows.line_num + head, BROKEN, f"no row of CSV ({error})")
            continue
        if not row:
            continue
        if len(row) != len(columns):
            yield Skipped(file, rows.line_num + head, BROKEN, f"{len(row)} cells under a header of {len(columns)}")
            continue
        fields = {name: value(row[n]) for n, name, value in convert if row[n]}
        if device is not None:
            fields.setdefault("device", device)
        yield RawPing(rows.line_num + head, fields)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        row = next(csv.reader([line.replace("\r", " ")], delimiter=delimiter), [])
    except csv.Error:  # a single cell of more than 128 KiB: no header of ours
        return []
    return [cell.strip().lower() for cell in row]


def _known(columns: Sequence[str]) -> set[str]:
    return set(columns) & (_FIELDS.keys() | _RENAME.keys())


def _check_header(columns: Sequence[str], where: str, device: str | None) -> None:
    needed = ["time", "beacon", "rssi"] if "beacon" in columns and "lat" not in columns else ["time", "lat", "lng"]
    if device is None:
        needed.insert(0, "device")
    missing = [name for name in needed if name not in columns]
    if missing:
        lacks = ", ".join(f"`{name}`" for name in missing)
        raise RecordingError(f"{where}: the header has no column {lacks}, {_mend(missing, columns)}")
    doubled = next((name for name in columns if name in _FIELDS and columns.count(name) > 1), None)
    if doubled:
        raise RecordingError(f"{where}: two columns are called `{doubled}`, rename one")


def _mend(missing: Sequence[str], columns: Sequence[str]) -> str:
    """How each missing column may be come by: one of another program's names is renamed, the device may be given."""
    mends = []
    for name in missing:
        other = next((column for column in columns if _RENAME.get(column.lstrip("#")) == name), None)
        if other is not None:
            mends.append(f"rename `{other}` to `{name}`")
        elif name == "device":
            mends.append("name the device with `--device`")
    unclear = len(mends) < len(missing)
    got = "got " + ", ".join(f"`{column}`" for column in columns[:12])
    return ", ".join(([got] if unclear else []) + mends)
