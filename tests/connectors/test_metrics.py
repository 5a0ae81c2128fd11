"""The metrics: their names, that they exist from the start, never grow with devices, and are told in the docs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from connectors.metrics import Metrics
from connectors.metrics_table import BUCKETS_S, DECIDED, TABLE, MetricKind, page
from engine.ports import AttemptResult, DeliveryState
from engine.wire import UserChanged
from tests.world import T0, Stage, circle, files_of, site_of


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: Metrics) -> set[str]:
    text = metrics.render()[0].decode()
    return {line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("nearcast_")}


# -- names ---------------------------------------------------------------------------------------------------------

#: The names that the contract fixes.
PROMISED = {
    "nearcast_pings_received_total", "nearcast_pings_accepted_total", "nearcast_pings_duplicate_total",
    "nearcast_pings_late_total", "nearcast_pings_rejected_total{reason}", "nearcast_requests_total{route,code}",
    "nearcast_transitions_total{kind}", "nearcast_decisions_total{rule,outcome,reason}",
    "nearcast_deliveries_total{channel,outcome}", "nearcast_delivery_attempts_total{channel,result}",
    "nearcast_deliveries_pending{channel}", "nearcast_ping_to_handoff_seconds", "nearcast_step_seconds",
    "nearcast_commit_seconds", "nearcast_delivery_seconds{channel}", "nearcast_devices", "nearcast_fences",
    "nearcast_rules{state}", "nearcast_config_last_reload_successful",
}  # fmt: skip


def test_what_was_promised_is_there_by_its_name() -> None:
    told = {row.name + (f"{{{','.join(row.labels)}}}" if row.labels else "") for row in TABLE}
    assert not PROMISED - told


def test_names_are_as_prometheus_wants_them() -> None:
    for row in TABLE:
        assert re.fullmatch(r"nearcast_[a-z_]+", row.name)
        assert row.name.endswith("_total") == (row.kind is MetricKind.COUNTER), row.name
        assert row.name.endswith("_seconds") or row.kind is not MetricKind.HISTOGRAM, row.name
        assert not {"device", "user", "place", "fence"} & set(row.labels)


def test_promtool_finds_nothing_to_mend() -> None:
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is missing in CI")
        pytest.skip("promtool is not installed")
    metrics = Metrics()
    metrics.set_rules(["a"])
    metrics.set_channels(["push"])
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.render()[0], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_page_is_made_from_the_table() -> None:
    assert (Path(__file__).parents[2] / "docs/metrics.md").read_text() == page()


# -- from the start ------------------------------------------------------------------------------------------------


def test_everything_exists_from_the_start_at_zero() -> None:
    metrics = Metrics()
    metrics.set_rules(["r"])
    metrics.set_channels(["push"])
    names = {name.partition("{")[0] for name in series(metrics)}
    for row in TABLE:
        ending = "_count" if row.kind is MetricKind.HISTOGRAM else ""
        if row.labels != ("version",):
            assert row.name + ending in names, row.name
    for outcome, reason in DECIDED:
        assert value(metrics, "nearcast_decisions_total", rule="r", outcome=outcome, reason=reason) == 0
    for state in DeliveryState:
        found = value(metrics, "nearcast_deliveries_total", channel="push", outcome=state.value)
        assert found == (None if state is DeliveryState.PENDING else 0)
    for result in AttemptResult:
        assert value(metrics, "nearcast_delivery_attempts_total", channel="push", result=result.value) == 0


def test_buckets_run_from_half_a_millisecond_to_half_a_minute() -> None:
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.0005, 30.0)
    assert list(BUCKETS_S) == sorted(BUCKETS_S)


HELLO = """
id: hello
state: live
trigger: {any: [{event: entered, place: {id: shop}}, {event: exited, place: {id: shop}}]}
audience: {all: [{consent: location_marketing}]}
actions: [{push: {template: hello}}]
"""


def crowd(metrics: Metrics, size: int) -> Stage:
    """People go in and out of a shop where a rule greets those who agreed: every second one. Everything is counted."""
    site = site_of(files_of([circle("shop")], HELLO))
    metrics.in_force(site.version, fences=1, rules=site.rules.rules, channels=["push"], at_ms=T0)
    stage = Stage(site)
    stage.step([UserChanged(f"d-{i}", consent={"location_marketing": True}) for i in range(0, size, 2)])
    for i in range(size):
        for second, east_m in ((0, 0.0), (60, 500.0), (120, 500.0), (30, 500.0)):
            stage.fix(second, east_m, accuracy=5.0, device=f"d-{i}")
    for effects in stage.effects:
        metrics.effects(effects)
        for delivery in effects.deliveries:
            metrics.attempt(delivery.channel, AttemptResult.OK)
            metrics.ended(delivery.channel, DeliveryState.DELIVERED, delivery.created_ms, delivery.created_ms + 5)
    return stage


def test_counting_makes_no_series_that_was_not_there_however_many_devices_come() -> None:
    metrics = Metrics()
    crowd(metrics, 2)
    before = series(metrics)
    crowd(metrics, 40)
    assert series(metrics) == before


def test_what_is_counted_is_what_happened() -> None:
    metrics = Metrics()
    stage = crowd(metrics, 20)
    decisions = [d for e in stage.effects for d in e.decisions]
    assert len(decisions) == 40
    counted = {
        reason: value(metrics, "nearcast_decisions_total", rule="hello", outcome=outcome, reason=reason)
        for outcome, reason in DECIDED
    }
    assert counted == {**dict.fromkeys(counted, 0), "sent": 20, "consent": 20}
    assert value(metrics, "nearcast_transitions_total", kind="entered") == 20
    assert value(metrics, "nearcast_transitions_total", kind="exited") == 20
    assert value(metrics, "nearcast_pings_late_total") == 20
    begun = value(metrics, "nearcast_deliveries_begun_total", channel="push")
    assert begun == value(metrics, "nearcast_deliveries_total", channel="push", outcome="delivered") == 20


def test_the_site_in_force_is_told() -> None:
    metrics = Metrics()
    crowd(metrics, 1)
    site = site_of(files_of([circle("shop")], HELLO.replace("live", "paused")))
    metrics.in_force(site.version, fences=1, rules=site.rules.rules, channels=[], at_ms=T0)
    states = {state: value(metrics, "nearcast_rules", state=state) for state in ("draft", "test", "live", "paused")}
    assert states == {"draft": 0, "test": 0, "live": 0, "paused": 1}
    infos = [s for s in series(metrics) if s.startswith("nearcast_config_info")]
    assert infos == [f'nearcast_config_info{{version="{site.version}"}}']
    metrics.reloaded(good=False)
    assert value(metrics, "nearcast_config_last_reload_successful") == 0


# -- rules ---------------------------------------------------------------------------------------------------------


def test_above_the_limit_all_rules_share_one_label() -> None:
    metrics = Metrics(max_rules=3)
    metrics.set_rules(["a", "b", "c"])
    metrics.decision("a", "send", "sent")
    metrics.set_rules(["a", "b", "c", "d"])
    for name in ("a", "d"):
        metrics.decision(name, "send", "sent")
    assert value(metrics, "nearcast_decisions_total", rule="a", outcome="send", reason="sent") == 1
    assert value(metrics, "nearcast_decisions_total", rule="*", outcome="send", reason="sent") == 2
    assert value(metrics, "nearcast_decisions_total", rule="d", outcome="send", reason="sent") is None


def test_a_rule_that_is_not_known_is_counted_all_the_same() -> None:
    metrics = Metrics()
    metrics.decision("gone", "suppress", "stale")
    assert value(metrics, "nearcast_decisions_total", rule="*", outcome="suppress", reason="stale") == 1


def test_rules_that_come_and_go_do_not_pile_up() -> None:
    metrics = Metrics(max_rules=5)
    for i in range(100):
        metrics.set_rules([f"r-{i}"])
        metrics.decision(f"r-{i}", "send", "sent")
        assert value(metrics, "nearcast_decisions_total", rule=f"r-{i}", outcome="send", reason="sent") == 1
    rules = {s for s in series(metrics) if s.startswith("nearcast_decisions_total")}
    assert len(rules) <= 11 * len(DECIDED)


# -- the rest ------------------------------------------------------------------------------------------------------


def test_a_commit_that_fails_is_counted_and_not_timed() -> None:
    metrics = Metrics()
    with pytest.raises(OSError, match="disk"), metrics.commit_timer():
        raise OSError("disk")
    with metrics.commit_timer(), metrics.step_timer():
        pass
    assert value(metrics, "nearcast_commit_failures_total") == 1
    assert value(metrics, "nearcast_commit_seconds_count") == 1
    assert value(metrics, "nearcast_step_seconds_count") == 1


def test_deliveries_are_counted_by_channel() -> None:
    metrics = Metrics()
    metrics.set_channels(["push"])
    metrics.attempt("push", AttemptResult.OK)
    metrics.handoff(1_000, 1_004)
    metrics.handoff(1_000, 900)
    metrics.ended("push", DeliveryState.DELIVERED, 1_000, 3_000)
    metrics.pending("push", 7)
    assert value(metrics, "nearcast_delivery_attempts_total", channel="push", result="ok") == 1
    assert value(metrics, "nearcast_ping_to_handoff_seconds_bucket", le="0.005") == 2
    assert value(metrics, "nearcast_ping_to_handoff_seconds_sum") == pytest.approx(0.004)
    assert value(metrics, "nearcast_deliveries_total", channel="push", outcome="delivered") == 1
    assert value(metrics, "nearcast_delivery_seconds_sum", channel="push") == 2
    assert value(metrics, "nearcast_deliveries_pending", channel="push") == 7
