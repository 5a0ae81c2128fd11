"""A person who is forgotten leaves no byte behind, and everybody else stays as they were."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from connectors import store_erasure
from connectors.clock import MachineClock
from connectors.store_sqlite import Erasure, SqliteStore
from engine.ports import Checkpoint, DecisionQuery, StoreError
from engine.wire import NONE, Ended, Erased, Happened, Located, UserChanged, decode_frame
from tests.connectors.making import T0, commit, decision, delivery, located

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER, DEVICE = "user-who-goes", "phone-that-goes"


def erase_state(state: bytes) -> bytes:
    return state.replace(USER.encode(), b"").replace(DEVICE.encode(), b"")


def filled(path: Path) -> SqliteStore:
    """Forty frames with rows of the user among others', a checkpoint in the middle, then the erasure."""
    store = SqliteStore.open(path)
    for n in range(1, 41):
        rows = [("other-1", "u-1", None), (DEVICE, USER if n == 1 else None, None), ("other-2", None, "ibeacon:x")]
        store.commit(
            commit(
                n,
                located(rows, [1, 3]),
                Happened(USER, f"e-{n}", "purchase", T0, {"sku": f"secret-{n}"}),
                UserChanged(USER, {"name": "Secret Name"}),
                Ended(f"k-{n}", f"d-{n}", USER, "delivered"),
                decisions=[decision(f"d-{n}", USER, values={"seen": "Secret Name"})],
                deliveries=[delivery(f"k-{n}", USER)],
            )
        )
        if n == 20:
            store.save_checkpoint(Checkpoint(20, T0 + 20, b"state of u-1, " + f"{USER} {DEVICE}".encode()))
    store.commit(commit(41, Erased(USER), erased=[USER], erased_devices={USER: [DEVICE]}))
    store.commit(commit(42, Ended("k-40", "d-40", USER, "delivered"), located([("other-1", None, None)])))
    return store


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob("a.db*")))


def rows_of(frame_data: bytes) -> list[tuple[str, str | None]]:
    (found,) = [item for item in decode_frame(frame_data).inputs if isinstance(item, Located)]
    users = found.column("user")
    return [
        (found.strings[d], None if u == NONE else found.strings[u])
        for d, u in zip(found.column("device"), users, strict=True)
    ]


def test_no_byte_of_the_user_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = filled(path)
    (asked,) = store.erasures()
    assert asked == Erasure(USER, 41, T0 + 41, (DEVICE,))
    store.rewrite_erased(asked, [], erase_state)
    assert store.erasures() == []
    for closing in (False, True):
        if closing:
            store.close()
        left = bytes_on_disk(path)
        words = (USER, DEVICE, "secret-", "Secret Name", "e-17")
        assert [word for word in words if word.encode() in left] == []


def test_the_log_is_emptied_once_nobody_reads_and_no_commit_waits_for_that(tmp_path: Path) -> None:
    """Pings waited 5 s for a reader, and what was erased stayed in the log after it."""
    path, clock = tmp_path / "a.db", MachineClock()
    store = filled(path)
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM decisions").fetchall()
    began_s = clock.monotonic_s()
    store.rewrite_erased(store.erasures()[0], [], erase_state)
    assert not store.clean_log()
    assert clock.monotonic_s() - began_s < 2
    store.commit(commit(43, located([("other-1", None, None)])))
    assert USER.encode() in bytes_on_disk(path)
    reader.close()
    assert store.clean_log()
    assert USER.encode() not in bytes_on_disk(path)
    store.close()


def test_what_an_earlier_process_left_in_the_log_is_taken_out_of_it(tmp_path: Path) -> None:
    first, path = tmp_path / "first/a.db", tmp_path / "second/a.db"
    first.parent.mkdir()
    store = filled(first)
    reader = sqlite3.connect(f"file:{first}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM decisions").fetchall()
    store.rewrite_erased(store.erasures()[0], [], erase_state)
    shutil.copytree(first.parent, path.parent)  # as a kill would leave it
    reader.close()
    store.close()
    with SqliteStore.open(path) as again:
        assert again.erasures() == [] and USER.encode() in bytes_on_disk(path)
        assert again.clean_log()
        assert USER.encode() not in bytes_on_disk(path)


def test_what_is_others_stays_with_its_borders_and_its_place(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.db")
    store.rewrite_erased(store.erasures()[0], [], erase_state)
    frames = list(store.frames())
    assert [f.seq for f in frames] == list(range(1, 43))
    for frame in frames[:40]:
        (only,) = decode_frame(frame.data).inputs
        assert isinstance(only, Located)
        assert only.borders == [1, 2]
        assert only.strings == ["ibeacon:x", "other-1", "other-2", "u-1"]
        assert rows_of(frame.data) == [("other-1", "u-1"), ("other-2", None)]
        assert only.column("beacon").tolist() == [NONE, 0]
        assert only.column("time").tolist() == [T0, T0 + 2000]
    assert decode_frame(frames[40].data).inputs == []
    assert rows_of(frames[41].data) == [("other-1", None)]
    assert store.checkpoint() == Checkpoint(20, T0 + 20, b"state of u-1,  ")
    store.close()


def test_who_comes_back_keeps_what_came_after(tmp_path: Path) -> None:
    store = filled(tmp_path / "a.db")
    back = [decision("d-50", USER)]
    store.commit(commit(43, located([(DEVICE, USER, None)]), Happened(USER, "e-9", "purchase", T0), decisions=back))
    store.commit(commit(44, Ended("k-50", "d-50", USER, "delivered")))
    store.rewrite_erased(store.erasures()[0], [], erase_state)
    inputs = [decode_frame(f.data).inputs for f in store.frames(41)]
    assert [len(i) for i in inputs] == [1, 2, 1]
    assert rows_of(next(store.frames(42)).data) == [(DEVICE, USER)]
    assert [line["key"] for line in store.decisions(DecisionQuery(user=USER))] == ["d-50"]
    store.close()


def test_an_erasure_cut_off_anywhere_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the erasure's own frame is rewritten, the checkpoint before it holds nothing that could come back."""
    real: Callable[..., object] = store_erasure.without
    for stop in (0, 1, 20, 40):
        path = tmp_path / str(stop) / "a.db"
        store = filled_under(path)
        calls = [0]

        def failing(*args: object, calls: list[int] = calls, stop: int = stop, **more: object) -> object:
            calls[0] += 1
            if calls[0] > stop:
                raise StoreError("cut off")
            return real(*args, **more)

        monkeypatch.setattr(store_erasure, "without", failing)
        with pytest.raises(StoreError, match="cut off"):
            store.rewrite_erased(store.erasures()[0], [], erase_state)
        monkeypatch.setattr(store_erasure, "without", real)
        store.close()
        with SqliteStore.open(path) as again:
            found = again.checkpoint()
            assert found is not None and USER.encode() not in found.state
            assert decode_frame(next(again.frames(40)).data).inputs == [Erased(USER)]
            again.rewrite_erased(again.erasures()[0], [], erase_state)
        assert USER.encode() not in bytes_on_disk(path)


def filled_under(path: Path) -> SqliteStore:
    path.parent.mkdir()
    return filled(path)


def test_rows_that_name_no_user_go_with_the_devices_that_were_held(tmp_path: Path) -> None:
    """The row that named the user may be in a frame that is not kept any more."""
    with SqliteStore.open(tmp_path / "a.db") as store:
        store.commit(commit(1, located([("d-1", None, None), ("d-2", None, None), ("d-3", None, None)])))
        store.commit(commit(2, Erased(USER), erased=[USER], erased_devices={USER: ["d-1"]}))
        store.commit(commit(3, Erased(USER), erased=[USER], erased_devices={USER: ["d-3"]}))
        (asked,) = store.erasures()
        assert (asked.seq, asked.devices) == (3, ("d-1", "d-3"))
        store.rewrite_erased(asked, [], erase_state)
        assert rows_of(next(store.frames()).data) == [("d-2", None)]
