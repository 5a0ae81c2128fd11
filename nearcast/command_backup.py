"""`nearcast backup`: a consistent copy of the store while the site runs.

Owns what is said of it. The copy itself is the store's work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from nearcast.fault import ExitCode
from nearcast.folder import read_folder
from nearcast.site_store import open_for_reading, settings_of

if TYPE_CHECKING:
    from pathlib import Path


def back_up(site: Path, file: Path) -> ExitCode:
    """Write the copy. Raises `StoreError` when there is no store, or the file is there already."""
    with open_for_reading(site, settings_of(read_folder(site))) as store:
        store.backup(file)
        frames = store.last_seq()
    size = file.stat().st_size
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    console.print(f"wrote {file}: {size:,} bytes, up to frame {frames:,}", style="green")
    return ExitCode.GOOD
