"""`python -m tests.sim.unready`: live a world after `warm`, and print the kernels that it met in another form.

Each would be compiled there and then, in the middle of somebody's ping: a third of a second and more. A kernel is
compiled for the types that it is called with, and an array of one record may be of another type than one of two.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Any

import engine
import geo
from engine.ping_reader import PingReader
from engine.pings import located, with_own_names
from engine.settings import PingLimits
from engine.warm import warm
from tests.sim.run import run

SEED, PINGS = 1, 10_000
PING = b'{"device": "d-%d", "time": 0, "lat": 1.5, "lng": 2, "user": "u"}'


def kernels() -> dict[str, set[str]]:
    """Each kernel by its name, with the types that it is ready for."""
    found = {}
    for package in (geo, engine):
        for module in pkgutil.iter_modules(package.__path__):
            for value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
                made: Any = value
                if hasattr(made, "signatures") and hasattr(made, "py_func"):
                    found[f"{made.py_func.__module__}.{made.py_func.__name__}"] = set(map(str, made.signatures))
    return found


def bodies() -> None:
    """Posts of one ping and of several, as objects and as lines, alone and together."""
    reader, limits = PingReader(), PingLimits()
    one, some = PING % 0, [PING % n for n in range(3)]
    forms = [(one, False), (b"[" + b",".join(some) + b"]", False), (b"\n".join(some), True)]
    read = [reader.read(body, ndjson=ndjson, now_ms=0, limits=limits).pings for body, ndjson in forms]
    for requests in ([pings] for pings in read):
        with_own_names(located(requests))
    with_own_names(located(read))


def main() -> None:
    """Print them, a line each."""
    warm(lambda name, done, total: None)
    ready = kernels()
    run(SEED, PINGS)
    bodies()
    for name, types in kernels().items():
        for met in types - ready.get(name, set()):
            sys.stdout.write(f"{name} {met}\n")


if __name__ == "__main__":
    main()
