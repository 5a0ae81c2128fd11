"""What is dropped when, and that the rest can always be folded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from connectors.store_retention import spacing_ms
from connectors.store_sqlite import SqliteStore
from engine.ports import Checkpoint, DecisionQuery, DeliveryState
from engine.settings import Keep
from tests.connectors.making import DAY_MS, T0, commit, decision, delivery, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR_MS = 3_600_000
WEEK = Keep(pings_ms=7 * DAY_MS, decisions_ms=30 * DAY_MS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(tmp_path / "a.db") as opened:
        yield opened


def run(store: SqliteStore, days: int) -> None:
    """Four frames a day, each with a decision; a checkpoint after every second; a new site every third day."""
    for n in range(1, 4 * days + 1):
        at_ms = T0 + n * 6 * HOUR_MS
        made = [decision(f"d-{n}", time_ms=at_ms)]
        site = (f"v{n}", {"f": b"%d" % n}) if n % 12 == 1 else None
        store.commit(commit(n, now_ms=at_ms, decisions=made, edited=site))
        if n % 2 == 0:
            store.save_checkpoint(Checkpoint(n, at_ms, b"%d" % n))


def retain(store: SqliteStore, now_ms: int, keep: Keep = WEEK) -> None:
    while store.retain(now_ms, keep):
        pass


def seqs(store: SqliteStore) -> list[int]:
    origin = store.origin()
    return [f.seq for f in store.frames(0 if origin is None else origin.seq)]


def test_nothing_is_dropped_while_all_is_young(store: SqliteStore) -> None:
    run(store, 6)
    retain(store, T0 + 6 * DAY_MS)
    assert store.origin() is None
    assert seqs(store) == list(range(1, 25))


def test_frames_go_up_to_a_checkpoint_that_stays_as_the_base(store: SqliteStore) -> None:
    run(store, 20)
    now_ms = T0 + 20 * DAY_MS
    retain(store, now_ms)
    origin = store.origin()
    assert origin is not None
    assert origin.now_ms <= now_ms - WEEK.pings_ms < origin.now_ms + DAY_MS
    assert origin.state == b"%d" % origin.seq
    assert seqs(store) == list(range(origin.seq + 1, 81))
    assert store.checkpoint() == Checkpoint(80, now_ms, b"80")


def test_the_version_of_the_site_under_the_base_stays(store: SqliteStore) -> None:
    run(store, 20)
    retain(store, T0 + 20 * DAY_MS)
    origin = store.origin()
    assert origin is not None and origin.seq == 52
    assert store.sites() == [(49, "v49"), (61, "v61"), (73, "v73")]
    assert store.site_files("v49") == {"f": b"49"}


def test_old_checkpoints_are_thinned_to_one_a_day_and_the_newest_two(store: SqliteStore, tmp_path: Path) -> None:
    run(store, 20)
    retain(store, T0 + 20 * DAY_MS)
    with closing(sqlite3.connect(tmp_path / "a.db")) as other:
        points = [seq for (seq,) in other.execute("SELECT seq FROM checkpoints ORDER BY seq")]
        parts = other.execute("SELECT count(DISTINCT checkpoint) FROM checkpoint_parts").fetchone()
    assert points == [52, 56, 60, 64, 68, 72, 76, 78, 80]
    assert parts == (9,)


def test_the_numbers_of_frames_go_on_when_all_frames_are_gone(store: SqliteStore, tmp_path: Path) -> None:
    run(store, 2)
    retain(store, T0 + 100 * DAY_MS)
    assert seqs(store) == []
    store.close()
    with SqliteStore.open(tmp_path / "a.db") as again:
        assert again.last_seq() == 8
        origin = again.origin()
        assert origin is not None and origin.seq == 8
        again.commit(commit(9))
        assert [f.seq for f in again.frames(8)] == [9]


def test_without_a_checkpoint_no_frame_is_dropped(store: SqliteStore) -> None:
    for n in range(1, 6):
        store.commit(commit(n, now_ms=T0 + n))
    retain(store, T0 + 1000 * DAY_MS)
    assert seqs(store) == [1, 2, 3, 4, 5]


def test_old_decisions_and_ended_deliveries_go_and_pending_ones_stay(store: SqliteStore) -> None:
    for n in range(1, 1001):
        at_ms = T0 + n * HOUR_MS
        made = [delivery(f"k-{n}", created_ms=at_ms)]
        store.commit(commit(n, now_ms=at_ms, decisions=[decision(f"d-{n}", time_ms=at_ms)], deliveries=made))
    late = [ended(f"k-{n}", DeliveryState.FAILED, T0 + n * HOUR_MS) for n in range(2, 1001)]
    store.commit(commit(1001, now_ms=T0 + 1001 * HOUR_MS, endings=late))
    now_ms = T0 + 900 * HOUR_MS + WEEK.decisions_ms
    retain(store, now_ms)
    assert len(store.decisions(DecisionQuery(limit=10_000))) == 101
    assert len(store.deliveries("failed", 10_000)) == 101
    assert [d.key for d in store.pending()] == ["k-1"]


def test_a_call_does_a_bounded_amount(store: SqliteStore) -> None:
    for n in range(1, 60):
        store.commit(commit(n, now_ms=T0 + n, edited=(f"v{n}", {})))
    many = [decision(f"d-{n}", time_ms=T0) for n in range(30_000)]
    store.commit(commit(60, now_ms=T0 + 60, decisions=many))
    later = T0 + 365 * DAY_MS
    calls = 1
    while store.retain(later, WEEK):
        calls += 1
    assert calls == 4
    assert store.decisions(DecisionQuery()) == []


@pytest.mark.parametrize(("pings_ms", "apart_ms"), [(30 * DAY_MS, DAY_MS), (DAY_MS, 3 * HOUR_MS), (0, 1)])
def test_checkpoints_stand_closer_where_pings_are_kept_for_less(pings_ms: int, apart_ms: int) -> None:
    assert spacing_ms(pings_ms) == apart_ms
