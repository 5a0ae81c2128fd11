"""The store of one machine: the journal, what was decided, what is to be delivered, in one SQLite file.

Owns the file, from its lock to its closing; one writer, readers beside it. Must not know what frames and states mean.
Promises: a `commit` that came back is on disk, whole; one that raised left nothing, and may be tried again. Costs: one
write to the disk for each commit, of about 0.2 ms on a local SSD. All methods may be called from any thread.
"""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from connectors import store_backup, store_checkpoint, store_erasure, store_read, store_retention, store_write
from connectors.store_access import Damage, Readers, Writer
from connectors.store_check import Check
from connectors.store_erasure import Erasure
from connectors.store_errors import RESTORE, explained
from connectors.store_forget import Found, Whose, collect
from connectors.store_lock import StoreLock
from connectors.store_schema import open_writer
from engine.ports import StoreDamagedError, StoreError
from engine.wire import decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from engine.decided import Decided
    from engine.ports import Checkpoint, Commit, DecisionQuery, Delivery, StoredFrame
    from engine.settings import Keep
    from rules.facts import Decision

__all__ = ["Erasure", "SqliteStore"]


#: How long the check of a store may hold up its start. A larger one is checked to its end beside the running process.
CHECK_S: Final = 0.5


class SqliteStore:
    """The `Journal` in SQLite. Made by `open`; close it, or use it in a `with`."""

    def __init__(
        self, path: Path, readers: Readers, writer: Writer | None, lock: StoreLock | None, damage: Damage
    ) -> None:
        self._path = path
        self._damage = damage
        self._check = Check()
        self._checked = False
        self._name = str(path)
        self._readers = readers
        self._writer = writer
        self._lock = lock
        self._tidying = threading.Lock()
        self._seq = 0
        self._log_is_clean = False

    @classmethod
    def open(cls, path: Path, *, readonly: bool = False, create: bool = True) -> SqliteStore:
        """Open the store at `path`; with `create` a missing one is made, with its folder.

        One process at a time may have it open for writing; `readonly` goes beside that. Raises `StoreError`.
        """
        damage = Damage()
        if readonly:
            return cls(path, Readers(path, damage), None, None, damage)
        if create:
            with explained(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
        path = path.resolve()
        lock = StoreLock(path)
        writer: Writer | None = None
        try:
            writer = Writer(path, open_writer(path, create=create), damage)
            store = cls(path, Readers(path, damage), writer, lock, damage)
            store.check(CHECK_S)
            store_checkpoint.drop_unfinished(writer)
            with writer.statement() as connection:
                store._seq = store_read.last_seq(connection)
        except StoreError:
            if writer is not None:
                writer.close()
            lock.release()
            raise
        return store

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let go of the lock. Closing again does nothing."""
        self._check.end()
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check(self, within_s: float | None = None) -> bool:
        """Check the file, once. False: not done in that time, or the store was closed. Raises `StoreDamagedError`."""
        if not self._checked:
            with self._readers.use() as connection:
                self._checked = self._check.run(connection, self._name, within_s)
        return self._checked

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Around what reads frames: one that cannot be read is damage too."""
        try:
            yield
        except StoreDamagedError as error:
            self._damage.look_at(error)
            raise

    def when_damaged(self, tell: Callable[[StoreDamagedError], object]) -> None:
        """Have this called, once and on any thread, when the file is found damaged, whoever finds it."""
        self._damage.tell(tell)

    # -- writing ---------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit) -> None:
        """Write one step, durably, whole or not at all. Raises `StoreError`; also when `seq` does not follow."""
        writer = self._write()
        if commit.seq != self._seq + 1:
            raise StoreError(
                f"store `{self._name}`: frame `{commit.seq}` does not follow frame `{self._seq}`,"
                " this is a mistake in nearcast, please report it"
            )
        row = store_write.frame_row(commit)
        if store_write.has_effects(commit):
            with writer.transaction() as connection:
                connection.execute(store_write.FRAME, row)
                store_write.write_effects(connection, commit)
        else:
            with writer.statement() as connection:
                connection.execute(store_write.FRAME, row)
        self._seq = commit.seq

    def take_in(self, checkpoint: Checkpoint, version: str, files: dict[str, bytes]) -> None:
        """Have a new store begin with a state that came to be elsewhere, under this version of the site.

        Its frames follow the checkpoint's. Raises `StoreError`.
        """
        with self._write().transaction() as connection:
            store_write.write_site(connection, checkpoint.seq, version, files)
        self.save_checkpoint(checkpoint)
        self._seq = checkpoint.seq

    def write_kept(self, decided: Sequence[Decided], deliveries: Sequence[Delivery]) -> None:
        """Keep decisions and deliveries that were made elsewhere, as they stand. Raises `StoreError`."""
        with self._write().transaction() as connection:
            store_write.write_kept(connection, decided, deliveries)

    def room_bytes(self) -> int:
        """How much the file system of the store still takes. Raises `StoreError`."""
        with explained(self._name):
            return shutil.disk_usage(self._path.parent).free

    def open_attempts(self, attempts: Sequence[tuple[str, int]]) -> None:
        """Record durably that attempts (key, number) of `at_most_once` deliveries are about to be made."""
        with self._write().transaction() as connection:
            store_write.open_attempts(connection, attempts)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint beside the earlier ones. Does not hold up commits, however large it is."""
        with self._tidying:
            store_checkpoint.save(self._write(), checkpoint)

    def retain(self, now_ms: int, keep: Keep) -> bool:
        """Drop what is older than it is kept, a bounded amount. True when there is more: call again."""
        with self._tidying:
            return store_retention.retain(self._write(), now_ms, keep)

    def erasures(self) -> list[Erasure]:
        """Users that were erased and whose bytes are still in older frames and checkpoints, oldest first."""
        return store_erasure.outstanding(self._write())

    def rewrite_erased(self, erasure: Erasure, devices: Iterable[str], change: Callable[[bytes], bytes]) -> None:
        """Take an erased user out of older frames and checkpoints; `change` gives a checkpoint's state without them.

        `devices` are taken to be the user's beside those of the erasure and those that the frames tell. May be cut off
        anywhere, also by the end of the process: the erasure is then still among `erasures`.
        """
        with self._tidying:
            known = replace(erasure, devices=(*erasure.devices, *devices))
            self._log_is_clean = False
            with self._noticing():
                store_erasure.rewrite(self._write(), known, change, self._name)
        self.clean_log()

    def clean_log(self) -> bool:
        """See to it that the write-ahead log has no page as it was before an erasure. False: somebody reads it, again.

        What an earlier process left in the log counts too.
        """
        with self._tidying:
            self._log_is_clean = self._log_is_clean or store_erasure.empty_log(self._write())
            return self._log_is_clean

    # -- the journal -----------------------------------------------------------------------------------------------

    def last_seq(self) -> int:
        """The number of the newest frame, 0 when there is none."""
        with self._readers.use() as connection:
            return store_read.last_seq(connection)

    def frames(self, after_seq: int = 0) -> Iterator[StoredFrame]:
        """The frames after `after_seq`, in order, without a gap. Raises `StoreError` when one is damaged or gone."""
        for frame in self._kept_frames(after_seq):
            if frame.seq != after_seq + 1:
                raise StoreError(f"store `{self._name}`: frame `{after_seq + 1}` is not there, {RESTORE}")
            after_seq = frame.seq
            yield frame

    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that is whole."""
        with self._readers.use() as connection:
            return store_checkpoint.newest(connection, self._name)

    def origin(self) -> Checkpoint | None:
        """From where all that is kept can be folded: the checkpoint before the oldest frame, or None: the start."""
        with self._readers.use() as connection:
            return store_checkpoint.oldest_usable(connection, self._name)

    def site(self) -> tuple[str, dict[str, bytes]] | None:
        """The version of the site in force and its files; None before the first."""
        found = self.sites()
        return None if not found else (found[-1][1], self.site_files(found[-1][1]))

    def sites(self) -> list[tuple[int, str]]:
        """The kept versions of the site, in order, each with the frame that brought it into force."""
        with self._readers.use() as connection:
            return [tuple(row) for row in connection.execute("SELECT seq, version FROM sites ORDER BY seq")]

    def site_files(self, version: str) -> dict[str, bytes]:
        """The files of a kept version. Raises `StoreError` when it is not there."""
        with self._readers.use() as connection:
            row = connection.execute(
                "SELECT files FROM sites WHERE version = ? ORDER BY seq DESC LIMIT 1", (version,)
            ).fetchone()
        if row is None:
            raise StoreError(f"store `{self._name}`: version `{version}` of the site is not there, {RESTORE}")
        return store_write.unpack(row[0])

    # -- questions -------------------------------------------------------------------------------------------------

    def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """Kept decisions as the API gives them, newest first."""
        with self._readers.use() as connection:
            return store_read.decisions(connection, query)

    def count_differences(self, made: Sequence[Decision]) -> int:
        """How many of these decisions are kept with another outcome or reason; the kept ones stand."""
        with self._readers.use() as connection:
            return store_read.count_differences(connection, made)

    def deliveries(self, outcome: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Kept deliveries, newest first; `outcome` is one of the six or `pending`."""
        with self._readers.use() as connection:
            return store_read.deliveries(connection, outcome=outcome, limit=limit)

    def delivery(self, key: str) -> Delivery | None:
        """One delivery, whatever its state."""
        with self._readers.use() as connection:
            return store_read.delivery(connection, key)

    def pending(self) -> list[Delivery]:
        """Deliveries that have not ended, oldest first."""
        with self._readers.use() as connection:
            return store_read.pending(connection)

    def decided(self, user: str, limit: int) -> list[Decided]:
        """A user's newest kept decisions, without their deliveries."""
        with self._readers.use() as connection:
            return store_read.decided_of(connection, user, limit)

    def deliveries_of(self, user: str) -> list[Delivery]:
        """All kept deliveries of a user, oldest first."""
        with self._readers.use() as connection:
            return store_read.all_deliveries_of(connection, user)

    def messages(self, decision: str) -> list[dict[str, Any]]:
        """The messages of a decision as `?wait` gives them."""
        with self._readers.use() as connection:
            return store_read.messages(connection, decision)

    def export(self, user: str, devices: Iterable[str] = ()) -> dict[str, list[dict[str, Any]]]:
        """All that is kept of a user beside their profile. `devices` are those known to be theirs."""
        whose, found = Whose(user, frozenset(devices)), Found()
        with self._noticing():
            for stored in self._kept_frames(0):
                collect(decode_frame(stored.data), whose, found)
        with self._readers.use() as connection:
            return {
                "decisions": store_read.decisions_of(connection, user),
                "deliveries": store_read.deliveries_of(connection, user),
                "pings": found.pings,
                "posted_events": found.events,
                "changes": found.changes,
            }

    def backup(self, path: Path) -> None:
        """Write a consistent copy to a new file, while commits go on. Raises `StoreError`."""
        with self._readers.use() as connection:
            store_backup.back_up(connection, path)

    # -- within ----------------------------------------------------------------------------------------------------

    def _kept_frames(self, after_seq: int) -> Iterator[StoredFrame]:
        """The kept frames after `after_seq`; no connection is held while they are worked."""
        while True:
            with self._readers.use() as connection:
                frames = store_read.frames_after(connection, after_seq, self._name)
            if not frames:
                return
            yield from frames
            after_seq = frames[-1].seq

    def _write(self) -> Writer:
        if self._writer is None:
            raise StoreError(f"store `{self._name}` was opened for reading only")
        return self._writer
