"""The dashboard: Grafana can import it anywhere, and Prometheus understands and can answer each of its queries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from connectors.metrics_table import TABLE
from tests.deploy.watching import ROOT, exported, mistakes, promtool

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/nearcast.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(note["expr"] for note in DASHBOARD["annotations"]["list"]),
]


def plain(query: str) -> str:
    """A query with Grafana's variables filled in."""
    return query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")


def test_what_the_dashboard_asks_for_is_exported() -> None:
    series = exported()
    wrong = [mistake for query in QUERIES for mistake in mistakes(plain(query), set(), series)]
    assert not wrong, "\n".join(wrong)


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{i}", "expr": plain(query)} for i, query in enumerate(QUERIES)]
    with (tmp_path / "rules.yml").open("w") as out:
        YAML(typ="safe", pure=True).dump({"groups": [{"name": "dashboard", "rules": rules}]}, out)
    promtool("check", "rules", tmp_path / "rules.yml")


def test_every_metric_that_counts_something_is_shown() -> None:
    text = "\n".join(QUERIES)
    hidden = {row.name for row in TABLE if row.name not in text}
    assert hidden <= {
        "nearcast_events_received_total",
        "nearcast_build_info",
        "nearcast_config_info",
        "nearcast_checkpoint_timestamp_seconds",
    }


def test_grafana_can_import_it_anywhere() -> None:
    assert (DASHBOARD["id"], DASHBOARD["uid"], DASHBOARD["schemaVersion"]) == (None, "nearcast", 39)
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
    sources = {json.dumps(panel["datasource"]) for panel in PANELS}
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    for query in QUERIES:
        assert 'job=~"$job"' in query and 'instance=~"$instance"' in query


def test_every_panel_says_what_it_shows_in_which_unit() -> None:
    for panel in PANELS:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
