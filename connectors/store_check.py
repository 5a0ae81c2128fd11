"""Whether a store's file is whole, as SQLite's own check tells: its pages, and how they hang together.

Owns the check and its end. Must not know the tables, nor what follows from damage. It reads the whole file, about a
gigabyte a second where the system has it in memory, so a start gives it a limit.
"""

from __future__ import annotations

import sqlite3
import threading

from connectors.store_errors import damaged


class Check:
    """The checks of one store; one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: sqlite3.Connection | None = None
        self._ended = False

    def run(self, connection: sqlite3.Connection, path: str, within_s: float | None) -> bool:
        """Check the file. False: it was not done `within_s` seconds, or `end` came. Raises `StoreDamagedError`."""
        with self._lock:
            if self._ended:
                return False
            self._running = connection
        timer = None if within_s is None else threading.Timer(within_s, self._break_off)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                return False
            raise
        finally:
            with self._lock:
                self._running = None
            if timer is not None:
                timer.cancel()
        if found != "ok":
            raise damaged(path, found.replace("\n", " "))
        return True

    def end(self) -> None:
        """Break off a check that runs, and begin none."""
        self._ended = True
        self._break_off()

    def _break_off(self) -> None:
        with self._lock:
            if self._running is not None:
                self._running.interrupt()
