"""The sources of a package, for whoever keeps something that was made by them and must know it by its sources.

Owns reading them, in one order. Must not know what is kept.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from types import ModuleType


def sources_of(package: ModuleType) -> Iterator[tuple[str, bytes]]:
    """(name, text) of each module, ascending by name; of none where the sources are not at hand.

    >>> import geo
    >>> "sources" in dict(sources_of(geo))
    True
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        yield name, pkgutil.get_data(package.__name__, f"{name}.py") or b""
