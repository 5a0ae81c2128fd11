"""Reading ahead: the next part is made in a thread while the last one is worked.

Owns the one thread and its end. Worth it for parts whose making lets the interpreter go: files, unpacking, kernels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_T = TypeVar("_T")
_END: Final = object()


def ahead(parts: Iterable[_T]) -> Iterator[_T]:
    """The same parts in the same order, one of them ahead. What the making of one raises is raised in its place.

    >>> list(ahead(n * n for n in range(4)))
    [0, 1, 4, 9]
    """
    making = iter(parts)
    with ThreadPoolExecutor(1, "ahead") as pool:
        coming = pool.submit(next, making, _END)
        while (part := coming.result()) is not _END:
            coming = pool.submit(next, making, _END)
            yield part  # type: ignore[misc] # not the end
