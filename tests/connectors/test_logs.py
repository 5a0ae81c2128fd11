"""Logs: one line an event, JSON off a terminal, and no position of a person and no secret in them."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from connectors.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def _quiet_after() -> Iterator[None]:
    """Other tests get structlog and the root logger as they were."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


pytestmark = pytest.mark.usefixtures("_quiet_after")


def logged(level: str = "info") -> tuple[io.StringIO, Any]:
    out = io.StringIO()
    configure_logs(level, out)
    return out, structlog.get_logger("nearcast.test")


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_off_a_terminal_every_event_is_one_line_of_json() -> None:
    out, log = logged()
    log.info("site in force", version="abc", fences=3)
    log.warning("a\nb", text="c\nd")
    first, second = lines(out)
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "nearcast.test",
        "event": "site in force",
        "version": "abc",
        "fences": 3,
    }
    assert (second["level"], second["event"], second["text"]) == ("warning", "a\nb", "c\nd")


def test_on_a_terminal_it_is_for_people() -> None:
    out = Terminal()
    configure_logs("info", out)
    structlog.get_logger("nearcast.test").info("site in force", fences=3)
    assert "site in force" in out.getvalue() and "\x1b[" in out.getvalue()


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_what_is_important_enough_is_logged(level: str, count: int) -> None:
    out, log = logged(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("x")
    assert len(lines(out)) == count


POSITION = ("35.690921", "139.700258")
SECRETS = ("whsec_MDEyMzQ1Njc4", "k-very-secret", "fcm-token-1")


def test_no_position_and_no_secret_is_in_them_however_deep() -> None:
    out, log = logged()
    lat, lng = map(float, POSITION)
    log.info("a", lat=lat, lng=lng, point=(lat, lng), geometry={"coordinates": [lng, lat]})
    log.info("b", ping={"device": "d-1", "lat": lat, "deep": [{"longitude": lng, "lat_deg": lat}]})
    log.info(f"ping at {lat},{lng}", error=f"Expected `float` <= 90.0, got lat={lat} lng={-lng}")
    log.info("c", url=f"http://h/v1/places/near?lat={lat}&lng={lng}")
    log.info(
        "d", keys={"admin": ["k-very-secret"]}, authorization="Bearer k-very-secret", tokens={"fcm": "fcm-token-1"}
    )
    log.info("e", error="secret whsec_MDEyMzQ1Njc4 is short, sent Bearer k-very-secret", body=b"k-very-secret")
    text = out.getvalue()
    assert len(lines(out)) == 6
    for hidden in (*POSITION, *SECRETS):
        assert hidden not in text
    assert "d-1" in text


def test_what_is_no_position_stays() -> None:
    out, log = logged()
    log.info("x", version="1.2.3", took_s=0.123456, time_ms=1795593600120, address="127.0.0.1:8080", share=0.5)
    line = lines(out)[0]
    assert (line["version"], line["took_s"], line["time_ms"], line["share"]) == ("1.2.3", 0.123456, 1795593600120, 0.5)
    assert line["address"] == "127.0.0.1:8080"


def test_an_exception_is_one_line_that_says_where() -> None:
    out, log = logged()
    try:
        raise ValueError(f"no fence at {POSITION[0]}")
    except ValueError as error:
        log.error("request failed", exc_info=error)
        log.exception("again")
    first, second = lines(out)
    assert first["exception"] == second["exception"] == "ValueError: no fence at [hidden]"
    assert "test_logs.py" in first["raised_at"][0]


def test_what_libraries_log_looks_and_is_cleaned_like_ours() -> None:
    out, _ = logged()
    library = logging.getLogger("of.others")
    library.info("chatter")
    library.warning("near %s", POSITION[0])
    library.error("bad")
    assert [(line["logger"], line["level"], line["event"]) for line in lines(out)] == [
        ("of.others", "warning", "near [hidden]"),
        ("of.others", "error", "bad"),
    ]


def test_what_json_does_not_know_is_written_as_text() -> None:
    out, log = logged()
    log.info("x", site={1: {2}}, kind=ValueError, data=b"\xff")
    assert lines(out)[0]["site"] == {"1": [2]}
