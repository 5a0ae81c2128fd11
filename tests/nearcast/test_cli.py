"""The command line itself: help that teaches, exit codes that tell whose fault it is, a quick start, a quiet end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from nearcast.cli import app
from nearcast.command_explain import parse_since
from nearcast.replay_options import DemoOptions, ReplayOptions, RunOptions
from tests.nearcast.command import make_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nearcast.command import Command

COMMANDS = (
    "run", "demo", "check", "schema", "replay", "explain", "send", "backup", "gateway", "worker", "dispatcher", "move",
    "crowd", "warm",
)  # fmt: skip


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_help_lists_every_command_and_only_these(nearcast: Command) -> None:
    came = nearcast("--help")
    assert came.code == 0
    assert [command.callback.__name__ for command in app.registered_commands if command.callback] == list(COMMANDS)
    for command in COMMANDS:
        assert f" {command} " in came.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_teaches_with_an_example(nearcast: Command, command: str) -> None:
    came = nearcast(command, "--help")
    assert came.code == 0
    assert "Example" in came.out
    assert f"nearcast {command}" in came.out


def test_the_version_is_printed(nearcast: Command) -> None:
    came = nearcast("--version")
    assert came.code == 0
    assert came.out.startswith("nearcast 0.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek"], "check"),
        (["check"], "SITE"),
        (["check", ".", "--format", "xml"], "use `text` or `json`"),
        (["check", ".", "--fast"], "--fast"),
        (["schema", "rule"], "use one of rules, settings, beacons, templates"),
        (["replay", "."], "give recordings, or `--from-store` alone"),
        (["replay", ".", "x.jsonl", "--from-store"], "give recordings, or `--from-store` alone"),
        (["explain", "."], "--user"),
        (["demo", "--crowd", "many"], "'--crowd': Input should be a valid integer"),
    ],
)
def test_a_bad_command_line_ends_with_2_and_says_what_is_wrong(nearcast: Command, words: list[str], said: str) -> None:
    came = nearcast(*words)
    assert (came.code, came.out) == (2, "")
    assert said in came.err
    assert came.err.count("\n") == 1
    assert came.err.endswith("--help`\n")


def test_a_fault_of_ours_ends_with_3_in_one_line_and_with_all_of_it_when_asked(
    nearcast: Command, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the cat sat on the keyboard")

    monkeypatch.setattr("nearcast.command_check.check_files", broken)
    came = nearcast("check", site)
    assert came.code == 3
    assert came.err.startswith("a fault of ours: RuntimeError at test_cli.py:")
    assert came.err.count("\n") == 1
    assert "nearcast --debug" in came.err
    came = nearcast("--debug", "check", site)
    assert came.code == 3
    assert came.err.startswith("Traceback")
    assert "the cat sat" in came.err


def test_help_starts_without_the_heavy_parts() -> None:
    code = """
import sys
sys.argv = ["nearcast", "--help"]
from nearcast.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"numba", "numpy", "aiohttp", "shapely", "h3", "sqlite3", "ruamel.yaml"} & set(sys.modules)
assert not heavy, heavy
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_is_no_fault() -> None:
    code = "import sys; sys.argv = ['nearcast', 'schema']; from nearcast.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


@pytest.mark.parametrize("words", [["schema"], ["--version"], ["check", "{site}", "--format", "json"]])
def test_output_that_cannot_be_written_ends_with_1_and_says_so(words: list[str], site: Path) -> None:
    told = [word.format(site=site) for word in words]
    code = f"import sys; sys.argv = {['nearcast', *told]!r}; from nearcast.cli import main; main()"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    *_, last = done.stderr.decode().splitlines()
    told_last = "the output cannot be written: No space left on device, make room or write elsewhere"
    assert (done.returncode, last) == (1, told_last)


def test_what_is_written_last_and_cannot_be_is_told_too() -> None:
    code = """
import sys
import nearcast.command_check
nearcast.command_check.check_site = lambda *_, **__: sys.stdout.write("all is well") and 0
sys.argv = ["nearcast", "check", "."]
from nearcast.cli import main
main()
"""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    told = b"the output cannot be written: No space left on device, make room or write elsewhere\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_stopping_a_command_leaves_no_traceback() -> None:
    code = """
import sys
import nearcast.command_check, time
def slowly(*_, **__):
    print("at it", flush=True)
    time.sleep(60)
nearcast.command_check.check_site = slowly
sys.argv = ["nearcast", "check", "."]
from nearcast.cli import main
main()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"at it\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("part", ["rules", "settings", "beacons", "templates"])
def test_every_schema_is_a_schema(nearcast: Command, part: str) -> None:
    came = nearcast("schema", part)
    assert came.code == 0
    schema = json.loads(came.out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_options_are_passed_on_as_they_were_typed(
    nearcast: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("nearcast.replay.replay", lambda *words: told.extend(words))
    monkeypatch.setattr("nearcast.run.run", lambda path, options: told.extend([path, options]) or 0)
    monkeypatch.setattr("nearcast.demo.demo", lambda options: told.append(options) or 0)
    files = (tmp_path / "a.gpx", tmp_path / "b.gpx")
    plain = ReplayOptions(files=files)
    full = replace(
        plain,
        device="me",
        users=tmp_path / "u",
        assume_consent=True,
        sort=True,
        as_json=True,
        decisions=tmp_path / "d",
        transitions=tmp_path / "t",
    )
    words = ["--device", "me", "--users", tmp_path / "u", "--assume-consent", "--sort", "--json"]
    words += ["--decisions", tmp_path / "d", "--transitions", tmp_path / "t"]
    for command in (
        ["replay", tmp_path, *files],
        ["replay", tmp_path, *files, *words],
        ["replay", tmp_path, "--from-store"],
        ["run", tmp_path, "--listen", "127.0.0.1:0"],
        ["demo", "--crowd", "10", "--seconds", "2"],
    ):
        assert nearcast(*command).code == 0
    assert told == [
        tmp_path,
        plain,
        tmp_path,
        full,
        tmp_path,
        ReplayOptions(from_store=True),
        tmp_path,
        RunOptions(listen="127.0.0.1:0"),
        DemoOptions(crowd=10, seconds=2.0),
    ]


def test_since_is_ago_or_an_instant_or_the_sites_local_time() -> None:
    assert parse_since("90s", 100_000, "UTC") == 10_000
    assert parse_since("2026-11-25T17:00+09:00", 0, "UTC") == 1_795_593_600_000
    assert parse_since("2026-11-25T17:00", 0, "Asia/Tokyo") == 1_795_593_600_000


def test_a_terminal_that_has_no_letters_for_a_name_gets_their_numbers(tmp_path: Path) -> None:
    """Commands such as `explain` ended with 3 in the middle of what they printed."""
    site = make_site(tmp_path, nearcast="timezone: \u5e97\n")
    code = f"import sys; sys.argv = ['nearcast', 'check', {str(site)!r}]; from nearcast.cli import main; main()"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=plain, timeout=60, check=False)
    assert (done.returncode, b"fault of ours" in done.stderr) == (1, False), done.stderr
    assert b"got `\\u5e97`" in done.stdout
