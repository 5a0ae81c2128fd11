"""The command line within the tests' own process, and a small site to call it on."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nearcast.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "nearcast.yaml": "test_users: [me]\nchannels: {push: {kind: file, path: var/sent.jsonl}}\n",
    "fences/a.geojson": json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": "shop",
                    "properties": {"name": "The Shop", "radius_m": 100},
                    "geometry": {"type": "Point", "coordinates": [139.7, 35.69]},
                }
            ],
        }
    ),
    "rules/hello.yaml": """id: hello
state: live
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: marketing}, {attribute: tier, in: [gold]}, {attribute: age, min: 20}]}
quiet_hours: {from: "21:00", to: "09:00", timezone: place}
actions: [{push: {template: hello}}]
tests:
  - {given: {user: {tier: gold, age: 30, consent: [marketing]}, enters: shop, at: "2026-11-25T17:10"}, then: sent}
  - given: {user: {tier: gold, age: 30, consent: [marketing]}, enters: shop, at: "2026-11-25T22:10"}
    then: quiet_hours
""",
    "templates/hello.yaml": """en: {title: Hello, body: 'Welcome to {place.name}'}
ja: {title: やあ, body: '{place.name}'}
""",
}


@dataclass(frozen=True, slots=True)
class Came:
    """What a command came to."""

    code: int
    out: str
    err: str


class Command:
    """Calls `nearcast` as a shell would, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str | Path) -> Came:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["nearcast", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        read = self._capsys.readouterr()
        code = left.value.code
        return Came(0 if code is None else int(code), read.out, read.err)


def make_site(folder: Path, **changed: str) -> Path:
    """A small good site in a folder; `changed` replaces files, named with `__` for `/` and without their suffix."""
    files = dict(FILES)
    for name, text in changed.items():
        path = name.replace("__", "/")
        files[next(known for known in files if known.rpartition(".")[0] == path)] = text
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
