"""What is printed for people: whole off a terminal, and told apart on a narrow one."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from nearcast.recording_raw import Skipped
from nearcast.replay_options import ReplayOptions
from nearcast.replay_report import Tally, report, report_left_out
from nearcast.terminal import console_on

if TYPE_CHECKING:
    from pathlib import Path

LONG = "shinjuku-station-west-exit-timesale-for-gold-members-on-wednesdays-in-the-evening"


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def counted(file: str = "a.jsonl") -> Tally:
    """A tally of two rules that differ in their last letter only, and of a line that was left out."""
    tally = Tally(pings=2)
    for rule in (LONG + "-1", LONG + "-2"):
        tally.decided[rule, "suppress", "consent"] = 1
        tally.decided[rule, "suppress", "quiet_hours"] = 2
    tally.skip(Skipped(file, 7, "out_of_range", "`lat` must be from -90 to 90 degrees, got `91`, " + "mend " * 20))
    return tally


def test_off_a_terminal_no_line_is_broken_and_nothing_is_cut(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = str(tmp_path / ("a" * 70) / ("b" * 70 + ".jsonl"))
    report_left_out(counted(file), ReplayOptions())
    report(counted(file), ReplayOptions(), sys.stdout)
    told = capsys.readouterr()
    assert told.err == f"{counted(file).shown[0]}\n"
    rows = [line.split("│")[1:5] for line in told.out.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        [LONG + "-1", "0", "3", "consent 1, quiet_hours 2"],
        [LONG + "-2", "0", "3", "consent 1, quiet_hours 2"],
    ]


def test_on_a_narrow_terminal_a_long_id_goes_on_in_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    screen = Screen()
    report(counted(), ReplayOptions(), screen)
    ids = "".join(line.split("│")[1].strip() for line in screen.getvalue().splitlines() if "│" in line)
    assert ids == f"{LONG}-1{LONG}-2"


def test_what_looks_like_an_emoji_is_printed_as_it_is() -> None:
    out = io.StringIO()
    console_on(out).print("rules :bus: 3")
    assert out.getvalue() == "rules :bus: 3\n"
