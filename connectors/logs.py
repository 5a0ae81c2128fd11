"""Logs: one line an event, JSON off a terminal, coloured on one.

Owns how lines look, and that no position of a person and no secret is in them. Must not know who logs what.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, TextIO

import orjson
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import TracebackType

    Line = MutableMapping[str, Any]
    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

#: What is put in the place of what must not be read.
HIDDEN: Final = "[hidden]"
_POSITIONS: Final = (
    "lat", "lng", "lon", "latitude", "longitude", "lat_deg", "lng_deg", "point", "position", "location", "coordinates",
    "geometry", "circle", "fix",
)  # fmt: skip
_SECRETS: Final = (
    "authorization",
    "secret",
    "secrets",
    "token",
    "tokens",
    "password",
    "keys",
    "ingest",
    "admin",
    "body",
)
_HIDDEN_KEYS: Final = frozenset((*_POSITIONS, *_SECRETS))
#: Four decimals of a degree are eleven metres. So texts, such as those of errors, lose what may be such a number.
_DEGREES: Final = re.compile(r"(?<![\w.])-?\d{1,3}\.\d{4,}(?![\w.])")
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]+|(?i:bearer)\s+\S+")
_DEPTH_MAX: Final = 6


def configure_logs(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (standard error), from `level` (`debug info warning error`) on.

    Coloured for people where the stream is a terminal, else one JSON object a line.
    """
    out = sys.stderr if stream is None else stream
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render = structlog.dev.ConsoleRenderer(colors=True) if out.isatty() else _as_json
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _name,
            _shorten_exception,
            hide,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *names: Lines(out, names[0] if names else "nearcast"),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [FromLibraries()]
    root.setLevel(max(threshold, logging.WARNING))


class Lines:
    """Where rendered lines go: each is written at once, whole."""

    def __init__(self, out: TextIO, name: str) -> None:
        self._out = out
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line."""
        self._out.write(line + "\n")
        self._out.flush()

    debug = info = warning = error = critical = exception = msg


class FromLibraries(logging.Handler):
    """Hands what libraries log on, so that it looks and is cleaned like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record again."""
        log = structlog.get_logger(record.name)
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(log, level)(record.getMessage(), exc_info=record.exc_info)


def hide(_logger: object, _method: str, line: Line) -> Line:
    """Take positions and secrets out of a line, however deep.

    >>> hide(None, "info", {"event": "at 35.690921,139.700258", "lat": 35.690921, "place": "shinjuku"})
    {'event': 'at [hidden],[hidden]', 'lat': '[hidden]', 'place': 'shinjuku'}
    """
    for name, value in line.items():
        line[name] = HIDDEN if name.lower() in _HIDDEN_KEYS else _cleaned(value, _DEPTH_MAX)
    return line


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(HIDDEN, _DEGREES.sub(HIDDEN, value))
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return HIDDEN
    if isinstance(value, dict):
        return {k: HIDDEN if str(k).lower() in _HIDDEN_KEYS else _cleaned(v, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(part, depth - 1) for part in value]
    return _cleaned(str(value), depth - 1)


def _name(logger: Any, _method: str, line: Line) -> Line:
    line["logger"] = logger.name
    return line


def _shorten_exception(_logger: object, _method: str, line: Line) -> Line:
    """Of an exception, its kind, its words and the way it came, without the source's lines: they tell nothing here."""
    found = line.pop("exc_info", None)
    if not found:
        return line
    error: BaseException | None
    error = found if isinstance(found, BaseException) else found[1] if isinstance(found, tuple) else sys.exc_info()[1]
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        line["exception"] = f"{type(error).__name__}: {error}"
        line["raised_at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return line


def _as_json(_logger: object, _method: str, line: Line) -> str:
    first = {name: line.pop(name) for name in ("time", "level", "logger", "event") if name in line}
    return orjson.dumps(first | dict(line), default=str, option=orjson.OPT_NON_STR_KEYS).decode()
