"""The lock that lets one process at a time write a store.

Owns the lock file beside the store. The system lets go of it when its process ends, however it ends. It is a file
of its own, since SQLite's own locks on the store's file would be lost when another handle to that file is closed.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from connectors.store_errors import store_error
from engine.ports import StoreError

if TYPE_CHECKING:
    from pathlib import Path


class StoreLock:
    """Held from its making until `release`. Raises `StoreError` when somebody else holds it."""

    def __init__(self, path: Path) -> None:
        name = path.with_name(path.name + ".lock")
        try:
            self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise store_error(str(path), error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreError(
                f"store `{path}` is in use by process `{holder}`, stop it first or set another `store`"
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise store_error(str(path), error) from error
        with suppress(OSError):  # the number only helps people; a full disk shows itself at the first commit
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go."""
        os.close(self._fd)
