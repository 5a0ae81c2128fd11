"""CI runs what the README tells people to run, and needs nothing that a fresh machine lacks."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib

from tests.house.tree import ROOT, text_of


def test_ci_is_a_script_that_can_be_run() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / ".ci/run"], check=False).returncode == 0
    assert "set -euo pipefail" in text_of(".ci/run")


def test_ci_ends_with_the_tests_that_the_readme_names() -> None:
    assert re.search(r"exec timeout .*make test </dev/null\n$", text_of(".ci/run"))
    assert "make test" in text_of("README.md")


def test_hooks_are_local() -> None:
    assert set(re.findall(r"repo: (\S+)", text_of(".pre-commit-config.yaml"))) == {"local"}


def test_constraints_are_exact_and_without_addresses() -> None:
    lines = [line for line in text_of("constraints.txt").splitlines() if not line.startswith("#")]
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]


def test_every_dependency_is_pinned_by_the_constraints() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {_plain(re.split(r"[\[<>=~!; ]", d)[0]) for d in wanted}
    pinned = {_plain(line.split("==")[0]) for line in text_of("constraints.txt").splitlines() if "==" in line}
    assert not names - pinned


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
