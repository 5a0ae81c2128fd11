"""What was committed survives; what was not leaves no trace. By killing real processes, and by tearing real files."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

from connectors import store_access, store_schema
from connectors.store_sqlite import SqliteStore
from engine.ports import Checkpoint, Commit, DecisionQuery, StoreError
from engine.wire import Erased
from tests.connectors.making import T0, commit, decision, delivery, ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def step(n: int) -> Commit:
    """A step with everything in it: each frame makes its decision and delivery, and ends the one before."""
    return commit(
        n,
        Erased(f"nobody-{n}"),
        decisions=[decision(f"d-{n}")],
        deliveries=[delivery(f"k-{n}", decision=f"d-{n}")],
        endings=[ended(f"k-{n - 1}")],
        resent=[("nobody", T0)],
        erased=[f"nobody-{n}"],
        edited=(f"v{n}", {"a": b"x" * n}),
    )


def in_child(work: Callable[[int], None], *, kill_after: int | None = None) -> list[int]:
    """Run `work` in a child process that is killed, or kills itself; gives the numbers that it told before."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        try:
            work(tell)
        finally:
            os._exit(0)
    os.close(tell)
    numbers: list[int] = []
    with os.fdopen(told, "rb") as lines:
        for line in lines:
            numbers.append(int(line))
            if len(numbers) == kill_after:
                os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return numbers


def assert_whole(path: Path, told: int, *, at_most: int) -> int:
    """The store holds all that was told, and each step whole or not at all. Gives the number of steps."""
    with SqliteStore.open(path) as store:
        seqs = [frame.seq for frame in store.frames()]
        assert seqs == list(range(1, len(seqs) + 1))
        assert told <= len(seqs) <= at_most
        made = sorted(int(line["key"][2:]) for line in store.decisions(DecisionQuery(limit=10**6)))
        assert made == seqs
        assert [d.key for d in store.pending()] == [f"k-{n}" for n in seqs[-1:]]
        assert [seq for seq, _ in store.sites()] == seqs
        assert [e.seq for e in store.erasures()] == seqs
        store.commit(step(len(seqs) + 1))
    return len(seqs)


@pytest.mark.parametrize("seed", range(8))
def test_what_was_reported_is_there_after_kill_9_at_any_time(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.db"

    def work(tell: int) -> None:
        store = SqliteStore.open(path)
        for n in range(1, 100_000):
            store.commit(step(n))
            os.write(tell, b"%d\n" % n)

    told = in_child(work, kill_after=random.Random(seed).randrange(20, 400))
    assert_whole(path, len(told), at_most=len(told) + 1)


def killing_itself_before(monkeypatch: pytest.MonkeyPatch, statement: int) -> None:
    """Let every connection made from here on kill the process before its n-th statement."""
    connect, left = store_schema.connect, [statement]

    def traced(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)

        def count(_: str) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(count)
        return connection

    monkeypatch.setattr(store_schema, "connect", traced)


def test_a_step_is_whole_or_absent_after_death_between_any_two_statements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two steps, the making of the file before them, and a checkpoint after them."""
    outcomes: set[int] = set()
    for statement in range(1, 200):
        path = tmp_path / f"{statement}.db"

        def work(tell: int, path: Path = path, statement: int = statement) -> None:
            killing_itself_before(monkeypatch, statement)
            store = SqliteStore.open(path)
            for n in (1, 2):
                store.commit(step(n))
                os.write(tell, b"%d\n" % n)
            store.save_checkpoint(Checkpoint(2, T0, b"s" * 600_000))
            os.write(tell, b"3\n")

        told = in_child(work)
        outcomes.add(assert_whole(path, min(len(told), 2), at_most=2))
        with SqliteStore.open(path) as store:
            found = store.checkpoint()
        assert found is None or found.state == b"s" * 600_000
        if len(told) == 3:
            assert found is not None
            break
    assert outcomes == {0, 1, 2} and statement > 40


def test_a_log_cut_off_anywhere_in_its_last_step_loses_that_step_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    sizes: list[int] = []

    def work(tell: int) -> None:
        store = SqliteStore.open(path)
        for n in range(1, 6):
            store.commit(step(n))
            os.write(tell, b"%d\n" % (path.with_name("a.db-wal").stat().st_size))
        os.kill(os.getpid(), signal.SIGKILL)

    sizes = in_child(work)
    log = path.with_name("a.db-wal").read_bytes()
    assert len(log) == sizes[-1]
    for cut in sorted({sizes[-2], *range(sizes[-2] + 1, sizes[-1], 997), sizes[-1] - 1}):
        copy = tmp_path / "copy.db"
        shutil.copyfile(path, copy)
        copy.with_name("copy.db-wal").write_bytes(log[:cut])
        assert assert_whole(copy, 4, at_most=4) == 4
        copy.unlink()


def test_flipped_bits_in_the_log_never_give_a_wrong_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def work(tell: int) -> None:
        store = SqliteStore.open(path)
        for n in range(1, 6):
            store.commit(step(n))
        os.kill(os.getpid(), signal.SIGKILL)

    in_child(work)
    log = path.with_name("a.db-wal").read_bytes()
    chance = random.Random(7)
    right = [(n, step(n).frame) for n in range(1, 6)]
    for _ in range(150):
        at, bit = chance.randrange(len(log)), 1 << chance.randrange(8)
        copy = tmp_path / "copy.db"
        shutil.copyfile(path, copy)
        copy.with_name("copy.db-wal").write_bytes(log[:at] + bytes([log[at] ^ bit]) + log[at + 1 :])
        try:
            with SqliteStore.open(copy, create=False) as store:
                found = [(f.seq, f.data) for f in store.frames()]
            assert found == right[: len(found)]
        except StoreError as error:
            assert "damaged" in str(error) or "is not there" in str(error)
        for name in ("copy.db", "copy.db-wal", "copy.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)


def test_a_flipped_bit_in_a_frame_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SqliteStore.open(path) as store:
        for n in range(1, 6):
            store.commit(step(n))
    data = path.read_bytes()
    at = data.index(b"nobody-3")
    path.write_bytes(data[:at] + b"N" + data[at + 1 :])
    with SqliteStore.open(path) as store, pytest.raises(StoreError, match="frame `3` is damaged, restore a copy"):
        list(store.frames())


def test_a_missing_frame_is_found_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SqliteStore.open(path) as store:
        for n in range(1, 6):
            store.commit(step(n))
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM journal WHERE seq = 3")
    other.close()
    with SqliteStore.open(path) as store:
        with pytest.raises(StoreError, match="frame `3` is not there, restore a copy"):
            list(store.frames())
        assert [f.seq for f in store.frames(3)] == [4, 5]


def test_a_disk_that_cannot_confirm_is_never_asked_twice(tmp_path: Path) -> None:
    """After a failed sync the system may have dropped what it could not write, and says yes the second time."""

    class Failing:
        in_transaction = False

        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error

    asked: list[str] = []
    writer = store_access.Writer(tmp_path / "a.db", Failing(), store_access.Damage())  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="the disk failed"), writer.statement() as connection:
        connection.execute("INSERT")
    with pytest.raises(StoreError, match="the disk failed"), writer.statement():
        asked.append("again")
    assert asked == []
