"""What a commit leaves behind, and what it leaves as it was."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from connectors.store_access import Turns
from connectors.store_sqlite import SqliteStore
from engine.ports import DecisionQuery, DeliveryState, StoreError
from engine.wire import Erased, decode_frame
from rules.facts import Outcome, Reason
from tests.connectors.making import T0, commit, decision, delivery, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(tmp_path / "var" / "nearcast.db") as opened:
        yield opened


def test_frames_come_back_in_order_byte_for_byte(store: SqliteStore) -> None:
    commits = [commit(n, Erased(f"u-{n}")) for n in range(1, 150)]
    for made in commits:
        store.commit(made)
    assert [(f.seq, f.now_ms, f.data) for f in store.frames()] == [(c.seq, c.now_ms, c.frame) for c in commits]
    assert [f.seq for f in store.frames(147)] == [148, 149]
    assert decode_frame(next(store.frames(3)).data).inputs == [Erased("u-4")]
    assert store.last_seq() == 149


def test_what_is_committed_is_there_after_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    files = {"nearcast.yaml": b"timezone: UTC\n", "fences/a.geojson": b"{}"}
    with SqliteStore.open(path) as store:
        store.commit(commit(1, decisions=[decision()], deliveries=[delivery()], edited=("v1", files)))
    with SqliteStore.open(path) as store:
        assert store.pending() == [delivery()]
        assert [line["key"] for line in store.decisions(DecisionQuery())] == ["d-1"]
        assert store.site() == ("v1", files)
        store.commit(commit(2))


def test_a_delivery_is_read_back_as_it_was_given(store: SqliteStore) -> None:
    given = delivery(at_most_once=True, received_ms=T0 - 3, test=True, place=None, tags=("a", "b"))
    store.commit(commit(1, deliveries=[given]))
    assert store.delivery("k-1") == given
    assert store.delivery("k-2") is None


def test_the_first_decision_and_delivery_under_a_key_stand(store: SqliteStore) -> None:
    store.commit(commit(1, decisions=[decision()], deliveries=[delivery()]))
    store.commit(commit(2, endings=[ended("k-1")]))
    other = decision(outcome=Outcome.SUPPRESS, reason=Reason.CAP)
    store.commit(commit(3, decisions=[other], deliveries=[delivery(body=b"{}")]))
    assert [line["reason"] for line in store.decisions(DecisionQuery())] == ["sent"]
    found = store.delivery("k-1")
    assert found is not None and found.state is DeliveryState.DELIVERED and found.body == delivery().body
    assert store.count_differences([decision(), other, decision("new")]) == 1


def test_only_what_is_pending_can_end(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery("k-1"), delivery("k-2")]))
    store.commit(commit(2, endings=[ended("k-1", DeliveryState.FAILED, T0 + 9), ended("nobody")]))
    store.commit(commit(3, endings=[ended("k-1", DeliveryState.DELIVERED, T0 + 99)]))
    found = store.delivery("k-1")
    assert found is not None
    assert (found.state, found.ended_ms, found.attempts, found.detail) == (
        DeliveryState.FAILED,
        T0 + 9,
        1,
        "answered 200",
    )
    assert [d.key for d in store.pending()] == ["k-2"]


def test_a_delivery_that_ends_in_the_step_that_made_it_has_ended(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery()], endings=[ended("k-1", DeliveryState.CANCELLED)]))
    assert store.pending() == []


def test_what_failed_is_sent_again_and_what_was_delivered_is_not(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery("k-1"), delivery("k-2"), delivery("k-3")]))
    store.commit(commit(2, endings=[ended("k-1", DeliveryState.FAILED), ended("k-2")]))
    store.commit(commit(3, resent=[("k-1", T0 + 7_200_000), ("k-2", T0 + 7_200_000), ("k-3", T0 + 7_200_000)]))
    assert [(d.key, d.expires_ms) for d in store.pending()] == [("k-1", T0 + 7_200_000), ("k-3", T0 + 1_800_000)]


def test_the_erased_leave_no_decision_and_no_delivery(store: SqliteStore) -> None:
    mine = {"decisions": [decision("d-1"), decision("d-2", "u-8")]}
    store.commit(commit(1, **mine, deliveries=[delivery("k-1"), delivery("k-2", "u-8")]))
    store.commit(commit(2, Erased("u-7"), erased=["u-7"], endings=[ended("k-1", DeliveryState.CANCELLED)]))
    assert [line["user"] for line in store.decisions(DecisionQuery())] == ["u-8"]
    assert store.delivery("k-1") is None
    assert [d.key for d in store.pending()] == ["k-2"]


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_frame_that_does_not_follow_is_refused(store: SqliteStore, seq: int) -> None:
    store.commit(commit(1))
    with pytest.raises(StoreError, match=f"frame `{seq}` does not follow frame `1`"):
        store.commit(commit(seq, decisions=[decision()]))
    assert store.decisions(DecisionQuery()) == []
    store.commit(commit(2))


def test_a_commit_that_fails_in_the_middle_leaves_nothing(store: SqliteStore) -> None:
    """A value of a type that SQLite does not know stands for whatever may go wrong behind the first statements."""
    bad = delivery("k-2", place=object())
    with pytest.raises(StoreError, match="please report it"):
        store.commit(commit(1, decisions=[decision()], deliveries=[delivery(), bad]))
    assert (store.last_seq(), store.pending(), store.decisions(DecisionQuery())) == (0, [], [])
    store.commit(commit(1, decisions=[decision()], deliveries=[delivery()]))
    assert store.pending() == [delivery()]


def test_an_open_attempt_is_kept_and_closed_by_the_end(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery("k-1", at_most_once=True), delivery("k-2", at_most_once=True)]))
    store.open_attempts([("k-1", 1), ("k-2", 3)])
    assert [(d.key, d.attempt_open, d.attempts) for d in store.pending()] == [("k-1", True, 1), ("k-2", True, 3)]
    store.commit(commit(2, endings=[ended("k-1", DeliveryState.UNKNOWN)]))
    found = store.delivery("k-1")
    assert found is not None and not found.attempt_open


def test_questions_may_be_asked_from_many_threads_while_commits_go_on(store: SqliteStore) -> None:
    stop = threading.Event()
    faults: list[str] = []

    def ask() -> None:
        while not stop.is_set():
            seqs = [f.seq for f in store.frames()]
            lines = store.decisions(DecisionQuery(limit=10_000))
            if seqs != list(range(1, len(seqs) + 1)) or len(lines) < len(seqs):
                faults.append(f"{len(seqs)} frames, {len(lines)} decisions")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(1, 201):
        store.commit(commit(n, decisions=[decision(f"d-{n}")]))
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.last_seq() == 200


def test_a_store_opened_for_reading_writes_nothing(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(commit(1, decisions=[decision()]))
    with SqliteStore.open(tmp_path / "var" / "nearcast.db", readonly=True) as reader:
        assert [line["key"] for line in reader.decisions(DecisionQuery())] == ["d-1"]
        store.commit(commit(2, decisions=[decision("d-2")]))
        assert reader.last_seq() == 2
        with pytest.raises(StoreError, match="was opened for reading only"):
            reader.commit(commit(3))


def test_turns_are_taken_in_the_order_of_asking() -> None:
    turns = Turns()
    order: list[int] = []

    def take(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(20)]
    with turns:
        for asked, thread in enumerate(threads, start=2):
            thread.start()
            while turns._given != asked:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(20))
