"""What may not be called, or imported, where: each with what to use instead."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

import pytest

from tests.house.tree import PACKAGES, PURE, Module, calls, imported, modules

TESTS = ("tests",)


@dataclass(frozen=True)
class Ban:
    """Calls that match `pattern` are refused in `folders`, except in the files `but`."""

    pattern: str
    instead: str
    folders: tuple[str, ...] = PACKAGES
    but: tuple[str, ...] = ()


BANS = (
    Ban(
        r"time\.(time|time_ns|localtime|gmtime|ctime)|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today",
        "use the `Clock` that was passed in (connectors/clock.py)",
        but=("connectors/clock.py",),
    ),
    Ban(r"time\..*", "use the `now_ms` that was passed in", folders=PURE),
    Ban(r"time\.sleep", "use `await` on what is waited for, with a time limit", folders=(*PACKAGES, *TESTS)),
    Ban(r"print", "use `typer.echo` or the console of nearcast/", folders=(*PACKAGES, *TESTS)),
    Ban(r"open|io\.open|os\.environ\..*|os\.getenv", "use bytes and settings that were passed in", folders=PURE),
    Ban(r"eval|exec|pickle\..*|marshal\..*", "use msgspec", folders=(*PACKAGES, *TESTS)),
    Ban(
        r"random\.(?!Random$|SystemRandom$).*|numpy\.random\.(?!default_rng$|Generator$|PCG64$|SeedSequence$).*",
        "use a generator made with a seed that was passed in",
        folders=(*PACKAGES, *TESTS),
    ),
    Ban(r"logging\..*", "use structlog", but=("connectors/logs.py",)),
)

#: In the pure packages processes, files and clocks do not exist. Threads do: what one has for itself may be kept.
PURE_IMPORTS_BANNED = re.compile(
    r"(aiohttp|asyncio|concurrent|faust|http|logging|multiprocessing|prometheus_client|random|redis|requests|select|signal"
    r"|socket|sqlite3|ssl|subprocess|tempfile|threading(?!\.local$)|typer|rich|urllib\.request|aiokafka|structlog|os)(\.|$)"
)


def _violations(ban: Ban) -> list[str]:
    return [
        f"{m.name}:{node.lineno} calls {name}"
        for m in modules(*ban.folders)
        if m.name not in ban.but
        for name, node in calls(m)
        if re.fullmatch(ban.pattern, name)
    ]


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.instead)
def test_banned_calls_are_not_made(ban: Ban) -> None:
    assert not _violations(ban), f"{ban.instead} instead"


def test_generators_have_a_seed() -> None:
    unseeded = [
        f"{m.name}:{node.lineno}"
        for m in modules(*PACKAGES, *TESTS)
        for name, node in calls(m)
        if name in ("random.Random", "numpy.random.default_rng") and not node.args and not node.keywords
    ]
    assert not unseeded, f"use a seed instead: {unseeded}"


def test_geo_rules_and_engine_import_nothing_that_does_io() -> None:
    wrong = [
        f"{m.name}: {what}"
        for m in modules(*PURE)
        for what in imported(m.tree).values()
        if PURE_IMPORTS_BANNED.match(what)
    ]
    assert not wrong, f"use a port of engine/ports.py, implemented in connectors/, instead: {wrong}"


def test_no_exception_is_swallowed_unseen() -> None:
    wrong = [
        f"{m.name}:{node.lineno}"
        for m in modules(*PACKAGES, *TESTS)
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _does_nothing(node))
    ]
    assert not wrong, f"use the errors that you expect, and answer them or `contextlib.suppress` them, instead: {wrong}"


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    if isinstance(handler.type, ast.Name) and handler.type.id.startswith("_"):
        return False  # the module's own, raised by it to get out of something
    return all(
        isinstance(s, ast.Pass) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in handler.body
    )


def test_the_checks_find_what_they_look_for() -> None:
    text = "import time as t\nfrom datetime import datetime\nt.time()\ndatetime.now()\nprint(1)\n"
    names = [name for name, _ in calls(Module("x.py", text, ast.parse(text)))]
    assert names == ["time.time", "datetime.datetime.now", "print"]
    assert [any(re.fullmatch(b.pattern, n) for b in BANS) for n in names] == [True, True, True]
