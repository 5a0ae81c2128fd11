"""The README's own commands do what it says, typed as they stand there, against a site that really runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.house.pages import blocks
from tests.house.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BIN = ROOT / ".venv/bin"
README = [b for b in blocks() if b.page == "README.md"]


@contextmanager
def running(site: Path) -> Iterator[str]:
    """`nearcast run` on a free port; gives its address once its log says that it is ready."""
    command = [BIN / "nearcast", "run", site, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = (re.search(r"http://(127\.0\.0\.1:[0-9]+)", line) for line in process.stderr)
            yield next(found[1] for found in lines if found)
        finally:
            process.terminate()
            process.wait(timeout=30)
    assert process.returncode == 0


def typed(text: str, folder: Path) -> str:
    """What a block of shell prints, in a folder, with the commands on the PATH."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(120)
def test_an_app_gets_its_message_and_a_marketer_sees_why(tmp_path: Path) -> None:
    (curls,) = [b.text for b in README if b.text.startswith("curl -X PUT")]
    (rule,) = [b.text for b in README if b.info == "yaml rule"]
    site = tmp_path / "mysite"
    shutil.copytree(ROOT / "examples/tokyo", site, ignore=shutil.ignore_patterns("var"))
    with running(site) as address:
        told = typed(curls.replace("localhost:8080", address).replace("curl ", "curl -sS "), tmp_path)
    first, second = (json.loads(line) for line in re.findall(r"\{.*?\}(?=\{\"accepted|$)", told, flags=re.DOTALL))
    assert first == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert [m["title"] for m in second["messages"]] == ["Welcome to Restaurants, 11F"]

    (site / "rules/lunch.yaml").write_text(rule, encoding="utf-8")
    assert "tests passed" in typed("nearcast check mysite", tmp_path)
    assert "restaurant-floor-welcome" in typed("nearcast explain mysite --user u-7", tmp_path)
    replayed = json.loads(typed("nearcast replay mysite --from-store --json", tmp_path))
    assert {"rule": "restaurant-floor-welcome", "outcome": "send", "reason": "sent", "count": 1} in replayed[
        "decisions"
    ]
