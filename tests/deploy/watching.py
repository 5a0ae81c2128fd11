"""What alerts and the dashboard ask for, and what is really exported: the common ground of their tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from connectors.metrics import Metrics

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/rules/alerts.yml"
#: The series that Prometheus makes itself.
PROMETHEUS_OWN = {"up": {"job", "instance"}}
#: The labels that Prometheus adds to each series.
ADDED = {"job", "instance"}
_NAME = re.compile(r"\b(?:(?:nearcast|process|instance:nearcast)_[a-z0-9_:]+|up)\b(?=\{|\[|\)|\s|$)")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def promtool(*arguments: str | Path) -> None:
    """Run promtool; it must find nothing to mend. Skipped where it is not installed, which CI must not be."""
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing in CI")
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def exported() -> dict[str, list[dict[str, str]]]:
    """The label sets of each series that a running process exports."""
    metrics = Metrics()
    metrics.in_force("v", fences=0, rules=[], channels=["push"], at_ms=0)
    metrics.set_rules(["r"])
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def alert_rules() -> list[dict[str, Any]]:
    """All rules of the alerts' file, recording ones too."""
    groups = YAML(typ="safe", pure=True).load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def mistakes(query: str, recorded: set[str], series: dict[str, list[dict[str, str]]]) -> list[str]:
    """What a query asks for that no process exports: names, and values of labels."""
    wrong = []
    names = _NAME.findall(query)
    if not names:
        wrong.append(f"no metric in `{query}`")
    for name in names:
        if name not in series and name not in recorded and name not in PROMETHEUS_OWN:
            wrong.append(f"`{name}` is not exported")
    for name, inside in re.findall(r"\b(nearcast_\w+)\{([^}]*)\}", query):
        for label, how, value in _MATCHER.findall(inside):
            if label in ADDED:
                continue
            known = {labels[label] for labels in series.get(name, []) if label in labels}
            fits = value in known if "~" not in how else any(re.fullmatch(value, k) for k in known)
            if not fits:
                wrong.append(f'`{name}` has no {label}{how}"{value}"')
    return wrong
