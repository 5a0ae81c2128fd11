"""Real recordings for the exactness tests, read with nothing of the product. Their sources: `tests/fixtures/traces`."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

FOLDER = Path(__file__).parent.parent / "fixtures/traces"
TRACES = sorted(p.name for p in FOLDER.iterdir() if p.suffix in (".gpx", ".csv"))


def read_trace(name: str) -> list[tuple[int, float, float]]:
    """(time in ms, lat, lng) of each fix, in the order of the file."""
    path = FOLDER / name
    if path.suffix == ".csv":
        with path.open() as stream:
            return [(int(r["provider_epoch_ms"]), float(r["lat"]), float(r["lon"])) for r in csv.DictReader(stream)]
    points = [e for e in ElementTree.parse(path).iter() if e.tag.endswith("trkpt")]
    timed = [(_time_ms(p), float(p.get("lat", "")), float(p.get("lon", ""))) for p in points]
    return [(time_ms, lat, lng) for time_ms, lat, lng in timed if time_ms is not None]


def _time_ms(point: ElementTree.Element) -> int | None:
    text = next((e.text for e in point if e.tag.endswith("time")), None)
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else None
