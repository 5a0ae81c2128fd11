"""What SQLite and the file system say of a store in trouble, as one line that tells how to mend it.

Owns those lines. Must not know what was being done.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.ports import StoreDamagedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a store whose file is damaged is mended.
RESTORE = "restore a copy made with `nearcast backup`"
_MENDS = {
    sqlite3.SQLITE_FULL: "the disk is full, free some space there",
    sqlite3.SQLITE_READONLY: "it may not be written, give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened, look at the path and at the rights of the file and its folder",
    sqlite3.SQLITE_CORRUPT: f"it is damaged, {RESTORE}, or move the file away to start anew",
    sqlite3.SQLITE_NOTADB: f"it is damaged or not a store, {RESTORE}, or move it away to start anew",
    sqlite3.SQLITE_BUSY: "another process holds it, stop that one first",
    sqlite3.SQLITE_LOCKED: "another process holds it, stop that one first",
    sqlite3.SQLITE_PERM: "it may not be opened, give this user the right to the file and its folder",
    sqlite3.SQLITE_TOOBIG: "a value is larger than a store can hold (1 GB)",
    sqlite3.SQLITE_IOERR: "the disk failed, look at the machine's log and at the disk",
    sqlite3.SQLITE_NOMEM: "the machine is out of memory",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OS_MENDS = {
    errno.ENOSPC: _MENDS[sqlite3.SQLITE_FULL],
    errno.EDQUOT: "this user's share of the disk is used up, free some space",
    errno.EROFS: "the file system may only be read, choose another `store`",
    errno.EACCES: _MENDS[sqlite3.SQLITE_PERM],
    errno.EPERM: _MENDS[sqlite3.SQLITE_PERM],
    errno.ENOENT: "its folder is not there, make it first",
}


def store_error(path: str, error: sqlite3.Error | OSError) -> StoreError:
    """The line for an error on the store at `path`."""
    if isinstance(error, OSError):
        mend = _OS_MENDS.get(error.errno or 0, "look at the path, its rights and its disk")
        return StoreError(f"store `{path}`: {mend} ({error.strerror or error})")
    code = getattr(error, "sqlite_errorcode", 0)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code & 0xFF in _DAMAGED:
        return StoreDamagedError(f"store `{path}`: {_MENDS[code & 0xFF]} ({error}, {name})")
    mend = _MENDS.get(code & 0xFF, "this is a mistake in nearcast, please report it")
    return StoreError(f"store `{path}`: {mend} ({error}, {name})")


def damaged(path: str, found: str) -> StoreDamagedError:
    """The line for a store at `path` whose own check found something."""
    return StoreDamagedError(f"store `{path}`: {_MENDS[sqlite3.SQLITE_CORRUPT]} ({found})")


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Let every error of SQLite or the file system come out as a `StoreError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise store_error(path, error) from error
