"""A replay of a store: no more memory for a long one, and what rings between two frames that are joined."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from connectors.store_sqlite import SqliteStore
from engine.joined import Joiner
from engine.ports import Commit
from engine.rows import Rows, columns
from engine.step import Engine
from engine.wire import Edited, encode_frame, read_frame
from nearcast import frames_ahead
from nearcast.folder import read_folder
from nearcast.recover import compiled
from nearcast.replay import replay_store
from nearcast.replay_report import Tally
from tests.bar import Bar
from tests.nearcast.command import make_site
from tests.world import TICK

if TYPE_CHECKING:
    from pathlib import Path

    from engine.site import Site
    from engine.wire import Frame, Input

T0 = 1_795_593_600_000
ROWS = 20


RULES = (
    """id: hello
state: live
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
---"""
    + TICK
)


def store_with(path: Path, site: Site, frames: int) -> Path:
    """A store of so many frames of people who come and go, after the edit that the site began with."""
    rng, nothing = random.Random(frames), [None] * ROWS
    with SqliteStore.open(path) as store:
        for seq in range(1, frames + 2):
            now_ms = T0 + 500 * seq
            inputs: list[Input] = [Edited(site.version, dict(site.files))]
            if seq > 1:
                lats = [rng.choice((35.69, 35.70)) for _ in range(ROWS)]
                devices, lngs = [f"d-{rng.randrange(40)}" for _ in range(ROWS)], [139.7] * ROWS
                inputs = [columns([Rows(devices, [now_ms] * ROWS, lats, lngs, *([nothing] * 7))])]
            edited = (site.version, dict(site.files)) if seq == 1 else None
            store.commit(Commit(seq, now_ms, encode_frame(now_ms, inputs), edited=edited))
    return path


def peak_of(path: Path, site: Site, frames: int) -> int:
    """How many bytes a replay holds at once, at most."""
    tally, bar = Tally(), Bar()
    tracemalloc.start()
    try:
        replay_store(path, site, tally, bar)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (bar.done, tally.pings) == (frames + 1, frames * ROWS)
    return peak


def test_memory_does_not_grow_with_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_ahead, "AHEAD_ROWS", 500)
    site = compiled(read_folder(make_site(tmp_path / "site")))
    short, long = (store_with(tmp_path / f"{frames}.db", site, frames) for frames in (200, 2_000))
    peak_of(short, site, 200)  # what is made once and kept
    assert peak_of(long, site, 2_000) < 1.5 * peak_of(short, site, 200)


def test_a_rules_instant_between_joined_frames_is_judged_between_them(tmp_path: Path) -> None:
    site = compiled(read_folder(make_site(tmp_path / "site", rules__hello=RULES)))
    frames: list[Frame] = []
    nothing: list[Any] = [[None]] * 4
    for device, now_ms in (("d-0", T0 + 299_000), ("d-1", T0 + 301_000), ("d-2", T0 + 302_000)):
        fix = Rows([device], [now_ms], [35.69], [139.7], [None], [None], [5.0], *nothing)
        frames.append(read_frame(encode_frame(now_ms, [columns([fix])])))
    effects = Engine(site, T0).steps(Joiner().join(frames))
    decided = [(d.rule, d.user, d.time_ms - T0) for d in effects.decisions]
    assert decided == [
        ("hello", "d-0", 299_000),
        ("tick", "d-0", 301_000),
        ("hello", "d-1", 301_000),
        ("hello", "d-2", 302_000),
    ]


def test_consent_is_assumed_of_a_store_too(tmp_path: Path) -> None:
    site = compiled(read_folder(make_site(tmp_path / "site", rules__hello=RULES)))
    path = store_with(tmp_path / "a.db", site, 20)
    counts: list[set[str]] = []
    for assumed in (False, True):
        tally = Tally()
        replay_store(path, site, tally, Bar(), assume_consent=assumed)
        counts.append({reason for rule, _, reason in tally.decided if rule == "hello"})
    assert "consent" in counts[0] and "consent" not in counts[1] and "sent" in counts[1]
