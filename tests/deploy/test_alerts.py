"""The alert rules: Prometheus reads them, they fire when they should, and what they ask for is really exported."""

from __future__ import annotations

import re

import pytest

from tests.deploy.watching import ALERTS, ROOT, alert_rules, exported, mistakes, promtool

RULES = alert_rules()
FIRING = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
TESTS = sorted((ROOT / "deploy/prometheus").glob("*_test.yml"))


def test_prometheus_reads_the_rules() -> None:
    promtool("check", "rules", ALERTS)


@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.name)
def test_the_alerts_fire_when_they_should_and_only_then(test: object) -> None:
    promtool("test", "rules", str(test))


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    text = "\n".join(path.read_text() for path in TESTS)
    for rule in FIRING:
        assert re.search(rf"alertname: {rule['alert']}\n\s+exp_alerts:\n", text), rule["alert"]


def test_what_the_alerts_ask_for_is_exported() -> None:
    series = exported()
    wrong = [mistake for rule in RULES for mistake in mistakes(rule["expr"], RECORDED, series)]
    assert not wrong, "\n".join(wrong)


def test_the_check_finds_what_it_looks_for() -> None:
    series = exported()
    assert mistakes("rate(nearcast_pings_recieved_total[5m])", set(), series)
    assert mistakes('nearcast_requests_total{code="499"}', set(), series)
    assert mistakes('nearcast_requests_total{code=~"6.."}', set(), series)
    assert mistakes('nearcast_commit_seconds_bucket{le="0.2"}', set(), series)
    assert not mistakes('nearcast_requests_total{code=~"5..", job="x"}', set(), series)


def test_every_alert_says_what_is_wrong_and_where_it_is_told_what_to_do() -> None:
    sections = set(re.findall(r"^## (\w+)$", (ROOT / "docs/alerts.md").read_text(), flags=re.MULTILINE))
    assert sections == {rule["alert"] for rule in FIRING}
    for rule in FIRING:
        assert rule["labels"]["severity"] in ("page", "ticket")
        about = "job" if rule["alert"] == "NearcastShardsMissing" else "instance"  # nobody's: there is no instance
        assert f"$labels.{about}" in rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
