"""The map of a site on disk, beside the store: so that a start reads it, rather than make it anew.

Owns the file, and when it is good: whole, and written by these very sources. It holds nothing that the site's files do
not say; whoever deletes it costs the next start some seconds. Must not know what the arrays in it mean.

    magic | length of the head | head | arrays, each from a multiple of ALIGNED on

The head is JSON: the stamp of the sources, and of each array its name, dtype, shape and checksum. Arrays start with a
line of the processor's cache, where the index wants it. A start leaves the cells, nine tenths of all, in the file's
pages until the process is ready: new memory is what it would wait for longest.
"""

from __future__ import annotations

import errno
import hashlib
import math
import mmap
import os
import shutil
import weakref
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import orjson

import engine
import geo
import rules
from engine.site_map import arrays_of_map, map_of
from geo.arrays import aligned
from geo.kept import CELLS
from geo.sources import sources_of
from geo.uncollected import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedReader
    from pathlib import Path

    from engine.site_map import SiteMap
    from geo.index import FenceIndex
    from geo.kept import Arrays

    Block = np.ndarray[Any, Any]

#: The file is the store's with this behind it.
SUFFIX: Final = ".map"
MAGIC: Final = b"nearcast map\n"
ALIGNED: Final = 4096
HEAD_BYTES_MAX: Final = 1 << 20
#: The map is not written where less than so many times its size is free: the store comes first.
SPARE: Final = 4


class MapFile:
    """The kept map of one store. `warn` gets one line where it cannot be used, or cannot be written.

    With `in_pages` cells stay in the pages of the file when it is read: whoever asks the index for long settles it.
    """

    def __init__(self, store: Path, warn: Callable[[str], None] = lambda _: None, *, in_pages: bool = False) -> None:
        self.in_pages = in_pages
        self.store = store
        self.path = store.with_name(store.name + SUFFIX)
        self._warn = warn
        self._kept: tuple[weakref.ref[FenceIndex], Mapping[str, bytes]] | None = None
        self._coming: Future[SiteMap | None] | None = None
        self.was_read = False
        """There was a good one."""

    def begin(self) -> None:
        """Begin to read, in a thread: most of it needs no interpreter, and a start has other things to do meanwhile."""
        pool = ThreadPoolExecutor(1, "map")
        self._coming = pool.submit(self._read)
        pool.shutdown(wait=False)

    def read(self) -> SiteMap | None:
        """The kept map, or None where there is none that is good."""
        coming, self._coming = self._coming, None
        return self._read() if coming is None else coming.result()

    @uncollected()
    def _read(self) -> SiteMap | None:
        try:
            with self.path.open("rb") as file:
                arrays = _read(file, CELLS if self.in_pages else frozenset())
            found = None if arrays is None else map_of(arrays)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._warn(f"the kept map `{self.path}` cannot be used, it is made anew: {error}")
            return None
        if found is not None:
            self.was_read = True
            self._note(found)
        return found

    def keep(self, site_map: SiteMap) -> None:
        """Write the map, unless it is the kept one. That a disk does not take it is told, and that is all."""
        if self._kept is not None and self._kept[0]() is site_map.index and self._kept[1] == site_map.digests:
            return
        arrays = arrays_of_map(site_map)
        if arrays is None:
            return
        size = sum(array.nbytes for array in arrays.values())
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            if shutil.disk_usage(self.path.parent).free < SPARE * size:
                raise OSError(errno.ENOSPC, f"{size >> 20} MiB would leave too little room for the store")
            with fresh.open("wb") as file:
                _write(file, arrays)
            os.replace(fresh, self.path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            self._warn(f"the map cannot be kept as `{self.path}`, so the next start makes it anew: {error}")
            return
        self._note(site_map)

    def _note(self, site_map: SiteMap) -> None:
        """What is on disk now. An index that an edit replaced need not live on for it."""
        self._kept = weakref.ref(site_map.index), site_map.digests


def _write(file: IO[bytes], arrays: Arrays) -> None:
    blocks = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    head = orjson.dumps({
        "stamp": stamp(),
        "arrays": {
            name: {"dtype": block.dtype.str, "shape": block.shape, "crc": zlib.crc32(_bytes_of(block))}
            for name, block in blocks.items()
        },
    })  # fmt: skip
    file.write(MAGIC + len(head).to_bytes(8, "little") + zlib.crc32(head).to_bytes(4, "little") + head)
    for block in blocks.values():
        file.seek(-file.tell() % ALIGNED, os.SEEK_CUR)
        file.write(_bytes_of(block))
    file.truncate()


def _read(file: BufferedReader, in_pages: frozenset[str]) -> Arrays | None:
    """The arrays of a file; None if other sources wrote it. Raises `ValueError` and its like where it is not whole.

    Those named in `in_pages` are not read into memory.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it is no map")
    size, crc = int.from_bytes(file.read(8), "little"), int.from_bytes(file.read(4), "little")
    text = file.read(min(size, HEAD_BYTES_MAX))
    if zlib.crc32(text) != crc:
        raise ValueError("its head is broken")
    head: Mapping[str, Any] = orjson.loads(text)
    if head["stamp"] != stamp():
        return None
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays = {}
    for name, said in head["arrays"].items():
        file.seek(-file.tell() % ALIGNED, os.SEEK_CUR)
        dtype, shape = np.dtype(said["dtype"]), tuple(said["shape"])
        block = _mapped(pages, file, dtype, shape) if name in in_pages else _read_block(file, dtype, shape)
        if block is None or zlib.crc32(_bytes_of(block)) != said["crc"]:
            raise ValueError(f"`{name}` is broken")
        arrays[name] = block
    return arrays


def _read_block(file: BufferedReader, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Block | None:
    """An array from the file; None if the file is too short."""
    size = math.prod(shape) * dtype.itemsize
    block = aligned(math.prod(shape), dtype).reshape(shape)
    return block if file.readinto(_bytes_of(block)) == size else None


def _mapped(pages: mmap.mmap, file: BufferedReader, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Block | None:
    """The same, as it lies in the file's pages; what is written to it stays in the process."""
    start = file.tell()
    end = file.seek(math.prod(shape) * dtype.itemsize, os.SEEK_CUR)
    return np.ndarray(shape, dtype, buffer=pages, offset=start) if end <= len(pages) else None


def _bytes_of(block: Block) -> memoryview:
    return block.reshape(-1).view(np.uint8).data


def stamp() -> str:
    """What tells apart all that a map depends on beside the site's files: our sources, and the time zones' borders."""
    digest = hashlib.sha256(version("tzfpy").encode())
    for package in (geo, rules, engine):
        for _, source in sources_of(package):
            digest.update(source)
    return digest.hexdigest()
