"""The store's tables, its version, and how a file is recognised as a store of ours.

Owns the schema and the connection's settings. Must not know what is written into the tables.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from connectors.store_errors import store_error
from engine.ports import StoreError

#: `Ncst`, in the file's header: this is a store of nearcast.
APPLICATION_ID = 0x4E637374
#: The version of the tables. A file with a higher one is refused, never guessed at.
SCHEMA_VERSION = 1

_TABLES = (
    # `crc` is zlib.crc32 of `data`: SQLite does not notice a flipped bit in a value.
    "CREATE TABLE journal (seq INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL)",
    """CREATE TABLE decisions (
        key TEXT NOT NULL UNIQUE, user TEXT NOT NULL, rule TEXT NOT NULL, device TEXT, occasion_ms INTEGER NOT NULL,
        time_ms INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, line BLOB NOT NULL)""",
    "CREATE INDEX decisions_of_user ON decisions (user, time_ms)",
    "CREATE INDEX decisions_of_rule ON decisions (rule, time_ms)",
    "CREATE INDEX decisions_of_device ON decisions (device, occasion_ms) WHERE device IS NOT NULL",
    """CREATE TABLE deliveries (
        key TEXT NOT NULL UNIQUE, decision TEXT NOT NULL, rule TEXT NOT NULL, user TEXT NOT NULL, channel TEXT NOT NULL,
        body BLOB NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, tags BLOB NOT NULL, place TEXT,
        test INTEGER NOT NULL, at_most_once INTEGER NOT NULL, received_ms INTEGER, state TEXT NOT NULL,
        attempts INTEGER NOT NULL, attempt_open INTEGER NOT NULL, ended_ms INTEGER, detail TEXT NOT NULL)""",
    "CREATE INDEX deliveries_of_state ON deliveries (state, created_ms)",
    "CREATE INDEX deliveries_of_user ON deliveries (user)",
    "CREATE INDEX deliveries_of_decision ON deliveries (decision)",
    # A checkpoint's state lies in parts, so that keeping a large one does not hold up commits. `id` names its parts.
    """CREATE TABLE checkpoints (
        id INTEGER PRIMARY KEY AUTOINCREMENT, seq INTEGER NOT NULL UNIQUE, now_ms INTEGER NOT NULL,
        size INTEGER NOT NULL, crc INTEGER NOT NULL)""",
    """CREATE TABLE checkpoint_parts (
        checkpoint INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (checkpoint, part))""",
    "CREATE TABLE sites (seq INTEGER PRIMARY KEY, version TEXT NOT NULL, files BLOB NOT NULL)",
    """CREATE TABLE erasures (
        user TEXT PRIMARY KEY, seq INTEGER NOT NULL, asked_ms INTEGER NOT NULL, devices BLOB NOT NULL)""",
)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file: `ro`, `rw`, or `immutable` (read, without any lock)."""
    tail = "immutable=1" if mode == "immutable" else f"mode={mode}"
    uri = f"file:{quote(str(path))}?{tail}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)


def open_writer(path: Path, *, create: bool) -> sqlite3.Connection:
    """The one connection that writes. Makes the tables in a new file. Raises `StoreError`."""
    if not create and not path.exists():
        raise StoreError(f"store `{path}` is not there, start `nearcast run` on the site first")
    try:
        if create:
            # where people were, and their phones' tokens, are nobody's business; SQLite gives its logs the same rights
            path.touch(mode=0o640)
        connection = connect(path, "rw")
    except (sqlite3.Error, OSError) as error:
        raise store_error(str(path), error) from error
    try:
        _prepare_writer(path, connection)
    except sqlite3.Error as error:
        connection.close()
        raise store_error(str(path), error) from error
    except StoreError:
        connection.close()
        raise
    return connection


def _prepare_writer(path: Path, connection: sqlite3.Connection) -> None:
    version = _recognise(path, connection)
    # What is deleted must be gone from the file: a person may ask for it.
    connection.execute("PRAGMA secure_delete = ON")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"store `{path}`: its file system cannot keep a write-ahead log, set `store` to a local disk")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -65536")
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    # a file that may only be read opens all the same, and would show itself at the first ping
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("ROLLBACK")


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Raises `StoreError`.

    In a folder that may not be written SQLite cannot take part in the write-ahead log; when there is none, nobody is
    writing, and the file can be read as it is.
    """
    if not path.exists():
        raise StoreError(f"store `{path}` is not there, start `nearcast run` on the site first")
    try:
        connection = connect(path, "ro")
        try:
            version = _recognise(path, connection)
        except sqlite3.OperationalError:
            connection.close()
            if _log_of(path).exists() and _log_of(path).stat().st_size:
                raise
            connection = connect(path, "immutable")
            version = _recognise(path, connection)
    except sqlite3.Error as error:
        raise store_error(str(path), error) from error
    if version == 0:
        connection.close()
        raise StoreError(f"store `{path}` is empty, start `nearcast run` on the site first")
    return connection


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _recognise(path: Path, connection: sqlite3.Connection) -> int:
    """The version of the tables, 0 for a file without any. Raises `StoreError` when it is not ours, or newer."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables == 0 and application in (0, APPLICATION_ID):
        return 0
    if application != APPLICATION_ID:
        raise StoreError(f"store `{path}` is a database of another program, set `store` to another path")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"store `{path}` was written by a newer nearcast: its version is `{version}`, this one reads"
            f" {SCHEMA_VERSION}, upgrade nearcast"
        )
    return version
