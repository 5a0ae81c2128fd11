"""A consistent copy of a store, while it is being written.

Owns how the copy comes to be whole or not at all, and never in the place of another file. Must not know the tables.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from connectors.store_errors import store_error
from engine.ports import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def back_up(source: sqlite3.Connection, path: Path) -> None:
    """Copy all that is committed now into a new file at `path`. Raises `StoreError`; then nothing is left there."""
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError as error:
        raise StoreError(f"backup `{path}` is there already, choose another name or move it away") from error
    except OSError as error:
        raise store_error(str(path), error) from error
    done = False
    try:
        _copy(source, part)
        os.replace(part, path)
        _sync(path.parent)
        done = True
    except (sqlite3.Error, OSError) as error:
        raise store_error(str(path), error) from error
    finally:
        part.unlink(missing_ok=True)
        if not done:
            path.unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, part: Path) -> None:
    """One step, in one read transaction: writers go on meanwhile. The copy has no log beside it."""
    part.touch(mode=0o600)
    with closing(sqlite3.connect(part, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    _sync(part)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
