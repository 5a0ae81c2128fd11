"""What is deployed fits together: paths that are mounted exist, settings pass the linter, Prometheus reads its file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.house.tree import ROOT, files, text_of

if TYPE_CHECKING:
    from pathlib import Path

COMPOSE: dict[str, Any] = YAML(typ="safe", pure=True).load(text_of("docker-compose.yml"))


def test_what_compose_mounts_is_in_the_repository() -> None:
    mounts = [m for service in COMPOSE["services"].values() for m in service.get("volumes", ())]
    sources = [m.split(":")[0] for m in mounts]
    here = [source.removeprefix("./") for source in sources if source.startswith("./")]
    assert len(here) >= 3
    assert not [name for name in here if not any(f == name or f.startswith(name + "/") for f in files())]
    assert {source for source in sources if not source.startswith("./")} == set(COMPOSE["volumes"])


def test_what_the_image_copies_is_in_the_repository() -> None:
    copied = re.findall(r"^COPY (?!--from)(?:--chown=\S+ )?(.+) \S+$", text_of("deploy/Dockerfile"), flags=re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert "constraints.txt" in names
    assert not [name for name in names if not (ROOT / name).exists()]


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert not [port for port in ports if not port.startswith("127.0.0.1:")]


def test_the_settings_of_compose_pass_the_linter(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "examples/tokyo", site, ignore=shutil.ignore_patterns("var"))
    shutil.copyfile(ROOT / "deploy/compose/nearcast.yaml", site / "nearcast.yaml")
    given = COMPOSE["services"]["gateway"]["environment"]
    keys = {name: value.partition(":-")[2].rstrip("}") for name, value in given.items()}
    done = subprocess.run(
        [ROOT / ".venv/bin/nearcast", "check", site],
        env=os.environ | keys, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_its_file() -> None:
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing in CI: .ci/run puts it on the PATH")
        pytest.skip("promtool is not installed")
    command = ["promtool", "check", "config", "--syntax-only", ROOT / "deploy/prometheus/prometheus.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
