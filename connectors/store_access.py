"""Who may use the store's connections, and when: one writer at a time, readers beside it.

Owns the writing connection with its turn-taking, and the readers' connections. Must not know the tables.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connectors.store_errors import store_error
from connectors.store_schema import open_reader
from engine.ports import StoreBrokenError, StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Turns:
    """A lock that is taken in the order of asking: a commit waits for one small piece of tidying at most.

    Python's own lock goes to whoever is quickest, which is the thread that has just let it go.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._given = 0
        self._called = 0

    def __enter__(self) -> None:
        with self._changed:
            mine = self._given
            self._given += 1
            while self._called != mine:
                self._changed.wait()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._called += 1
            self._changed.notify_all()


class Damage:
    """Whether the store was found damaged, whoever found it, and who is told of that, once, on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: StoreDamagedError | None = None
        self._tell: Callable[[StoreDamagedError], object] | None = None

    def tell(self, tell: Callable[[StoreDamagedError], object]) -> None:
        """Have this called with what was found, now if it was already."""
        with self._lock:
            self._tell = tell
            found = self._found
        if found is not None:
            tell(found)

    def look_at(self, error: BaseException) -> None:
        """Look at an error that came out of the store, or of reading what is in it."""
        with self._lock:
            if not isinstance(error, StoreDamagedError) or self._found is not None:
                return
            self._found, tell = error, self._tell
        if tell is not None:
            tell(error)


class Writer:
    """The writing connection. After an error all is rolled back, and it can be used again.

    Except when the disk could not confirm what it was given: the system then forgets what was not kept, a second try
    would be told that all is well, and so nothing is written any more.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, damage: Damage) -> None:
        self._path = path
        self._damage = damage
        self._connection = connection
        self._turns = Turns()
        self._broken: StoreBrokenError | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One atomic write: whole at the end of the block, or not at all. Raises `StoreError`."""
        with self._turn() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def statement(self) -> Iterator[sqlite3.Connection]:
        """For one single statement, which is atomic by itself: cheaper than a transaction."""
        with self._turn() as connection:
            yield connection

    def close(self) -> None:
        """Close the connection; the last one folds the log into the file."""
        with self._turns:
            self._connection.close()

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        with self._turns:
            if self._broken is not None:
                raise self._broken
            try:
                yield self._connection
            except sqlite3.Error as error:
                self._roll_back()
                explained = store_error(str(self._path), error)
                self._damage.look_at(explained)
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC:
                    explained = self._broken = StoreBrokenError(str(explained))
                raise explained from error
            except BaseException as error:
                self._roll_back()
                self._damage.look_at(error)
                raise

    def _roll_back(self) -> None:
        """SQLite may have rolled back by itself. A rollback that fails leaves nothing to go on with."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._broken = StoreBrokenError(str(store_error(str(self._path), error)))


class Readers:
    """Connections that read, one for each use at a time; they see whole commits and hold up nobody."""

    def __init__(self, path: Path, damage: Damage) -> None:
        self._path = path
        self._damage = damage
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = [open_reader(path)]
        self._closed = False

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """A connection for some queries. Raises `StoreError`."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = open_reader(self._path)
        try:
            yield connection
        except sqlite3.Error as error:
            explained = store_error(str(self._path), error)
            self._damage.look_at(explained)
            raise explained from error
        except StoreDamagedError as error:
            self._damage.look_at(error)
            raise
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close those that are idle; the others are closed after their use."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
