"""A packed recording that may break off: a copy that was cut, a disk that lost a block, a file that only has the name.

Owns that what stands before the break is read, by whole lines where it is read by lines: half a line of numbers looks
like a good one. Must not know formats.
"""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Unpacked(gzip.GzipFile):
    """What is packed in a `.gz`. Where its packing is broken it ends: `fault` says how, after `lines` whole lines."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")
        self.lines = 0
        self.fault: str | None = None

    def read(self, size: int | None = -1) -> bytes:
        """Up to so many bytes, fewer only at the end."""
        parts, left = [], size or 0
        while left > 0 and (part := self._unbroken(super().read1, left)):
            parts.append(part)
            left -= len(part)
        read = b"".join(parts)
        if self.fault is not None:
            read = read[: read.rfind(b"\n") + 1] or read
        self.lines += read.count(b"\n")
        return read

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, whole."""
        line = self._unbroken(super().readline, -1 if size is None else size)
        self.lines += line.count(b"\n")
        return line

    def seek(self, offset: int, whence: int = 0) -> int:
        """Begin anew."""
        self.lines, self.fault = 0, None
        return super().seek(offset, whence)

    def _unbroken(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self.fault is not None:
            return b""
        try:
            return read(size)
        except EOFError:
            self.fault = "the packed file ends too early"
        except (zlib.error, gzip.BadGzipFile) as error:
            self.fault = f"its packing is broken ({error})"
        return b""
