"""A store that begins with a state that came to be elsewhere, and takes over what was decided and delivered there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.store_sqlite import SqliteStore
from engine.decided import decided_of
from engine.ports import Checkpoint, DecisionQuery, DeliveryState
from tests.connectors.making import T0, commit, decision, delivery

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"nearcast.yaml": b"", "rules/a.yaml": b"x"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def test_its_frames_follow_the_state_that_it_began_with(path: Path) -> None:
    begun = Checkpoint(1, T0, b"the state")
    with SqliteStore.open(path) as store:
        store.take_in(begun, "v1", FILES)
    with SqliteStore.open(path) as store:
        assert (store.last_seq(), store.checkpoint(), store.site()) == (1, begun, ("v1", FILES))
        store.commit(commit(2))
        assert [frame.seq for frame in store.frames(1)] == [2]
        assert store.origin() == begun  # whoever folds all that is kept begins with it


def test_what_was_decided_and_delivered_elsewhere_is_kept_as_it_stands(path: Path) -> None:
    made = [decision(f"d-{n}", time_ms=T0 + n) for n in range(3)]
    waiting = delivery("k-1", at_most_once=True, attempts=2, attempt_open=True, received_ms=3.5)
    over = delivery("k-2", decision="d-2", state=DeliveryState.FAILED, attempts=4, ended_ms=T0 + 9, detail="said 400")
    decided = [decided_of(one, [], 3, 17) for one in made]
    with SqliteStore.open(path) as store:
        store.write_kept(decided, [waiting, over])
        assert store.pending() == [waiting] and store.deliveries_of("u-7") == [waiting, over]
        assert store.decided("u-7", 2) == [decided_of(one, [], -1, -1) for one in (made[2], made[1])]
        (line,) = store.decisions(DecisionQuery(device="d-42", occasion_ms=T0, since_ms=T0 + 2))
        assert line["key"] == "d-2"
        assert store.count_differences(made) == 0
