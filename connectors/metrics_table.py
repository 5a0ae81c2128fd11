"""The metrics, each declared once: name, kind, what it means, its labels and their values.

Owns the names. `connectors/metrics.py` counts, `docs/metrics.md` is made from this table. Base units; counters end in
`_total`; labels come from small closed sets that exist from the start at 0, never a device, user or place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from engine.ports import AttemptResult, DeliveryState
from engine.rejection import RejectReason
from rules.facts import Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Seconds. An engine that promises milliseconds is not seen through buckets that begin at five, nor a promise of fifty
#: through one from 50 to 100: a quantile is drawn as a line between two bounds.
BUCKETS_S: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip

#: The routes of the HTTP interface, as they stand in the label; `other` is what no route matches.
ROUTES: Final = (
    "/v1/pings", "/v1/events", "/v1/users/{id}", "/v1/users/{id}/export", "/v1/users/{id}/decisions",
    "/v1/places/near", "/v1/places/{id}/present", "/v1/deliveries", "/v1/deliveries/{key}/resend",
    "/metrics", "/healthz", "/readyz", "other",
)  # fmt: skip
#: What requests are answered with.
CODES: Final = tuple(map(str, (200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503)))
_TRANSITIONS: Final = (Kind.ENTERED, Kind.DWELLED, Kind.EXITED, Kind.CROSSED)
_OUTCOMES: Final = tuple(state for state in DeliveryState if state is not DeliveryState.PENDING)
#: What a worker does with a record: it is folded, was folded before, is read again since it was not brought, was put
#: aside since it cannot be folded, or is gone from the topic.
FRAMES: Final = ("folded", "skipped", "refolded", "dead", "gone")
RULE_STATES: Final = ("draft", "test", "live", "paused")


class MetricKind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. `values` are those of its labels that exist from the start, by label.

    A label that is not in `values` gets its own from the site: the channels, the rules that run.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _counter(name: str, text: str, **values: Iterable[str]) -> Row:
    return Row(name, MetricKind.COUNTER, text, tuple(values), {k: tuple(map(str, v)) for k, v in values.items() if v})


def _gauge(name: str, text: str, **values: Iterable[str]) -> Row:
    return Row(name, MetricKind.GAUGE, text, tuple(values), {k: tuple(map(str, v)) for k, v in values.items() if v})


def _seconds(name: str, text: str, **values: Iterable[str]) -> Row:
    return Row(name, MetricKind.HISTOGRAM, text, tuple(values), {k: tuple(map(str, v)) for k, v in values.items() if v})


TABLE: Final = (
    _counter("nearcast_pings_received_total", "Pings and sightings in bodies that were answered 202 or 422."),
    _counter("nearcast_pings_accepted_total", "Pings and sightings that were kept, late ones among them."),
    _counter("nearcast_pings_duplicate_total", "Pings and sightings with the time of their device's newest one."),
    _counter("nearcast_pings_late_total", "Accepted ones older than their device's newest: kept, without any effect."),
    _counter("nearcast_pings_rejected_total", "Pings and sightings that were refused.", reason=RejectReason),
    _counter("nearcast_events_received_total", "Events in bodies that were answered 202 or 422."),
    _counter("nearcast_events_accepted_total", "Events that were kept."),
    _counter("nearcast_events_duplicate_total", "Events whose (user, id) was there before."),
    _counter("nearcast_events_rejected_total", "Events that were refused.", reason=RejectReason),
    _counter("nearcast_requests_total", "HTTP requests answered.", route=ROUTES, code=CODES),
    _seconds("nearcast_request_seconds", "From a request's headers to its answer.", route=ROUTES),
    _gauge("nearcast_requests_in_flight", "Requests with a body that are being read or wait for their commit."),
    _counter("nearcast_transitions_total", "Transitions of devices at places.", kind=_TRANSITIONS),
    _counter("nearcast_decisions_total", "Decisions of rules, each with one reason.", rule=(), outcome=(), reason=()),
    _counter("nearcast_deliveries_begun_total", "Messages of `send` decisions, to be handed over.", channel=()),
    _counter("nearcast_deliveries_resent_total", "Ended deliveries that somebody sent again."),
    _counter("nearcast_deliveries_total", "Deliveries that have ended.", channel=(), outcome=_OUTCOMES),
    _counter("nearcast_delivery_attempts_total", "Attempts to hand a message over.", channel=(), result=AttemptResult),
    _gauge("nearcast_deliveries_pending", "Deliveries that have not ended.", channel=()),
    _seconds("nearcast_ping_to_handoff_seconds", "From a ping received to its message's first request written."),
    _seconds("nearcast_step_seconds", "One step of the engine: match, presence, timers, decisions."),
    _seconds("nearcast_commit_seconds", "One commit of the store."),
    _seconds("nearcast_delivery_seconds", "From a decision to the end of its delivery, waits included.", channel=()),
    _counter("nearcast_commit_failures_total", "Commits that failed, and later tries. What waited was answered 503."),
    _counter("nearcast_frames_total", "Records of the pings' topic, by what a worker did with them.", result=FRAMES),
    _gauge("nearcast_shards", "Shards that a worker folds, or partitions whose messages a dispatcher delivers."),
    _gauge("nearcast_shards_waiting", "Those of them that wait: for Redis, for the broker, or to be loaded."),
    _gauge("nearcast_lag_records", "Records that a worker or dispatcher has not worked yet."),
    _gauge("nearcast_clock_skew_seconds", "How far this machine's clock is ahead of the broker's."),
    _gauge("nearcast_devices", "Devices known."),
    _gauge("nearcast_fences", "Fences in force."),
    _gauge("nearcast_rules", "Rules in force.", state=RULE_STATES),
    _gauge("nearcast_ready", "1 while pings are taken."),
    _gauge("nearcast_journal_tail_rows", "Rows since the last checkpoint: what a start would fold again."),
    _gauge("nearcast_checkpoint_timestamp_seconds", "When the last checkpoint was kept; 0 before the first."),
    _gauge("nearcast_config_last_reload_successful", "1 if the files last read are in force, 0 if they were bad."),
    _gauge("nearcast_config_last_reload_success_timestamp_seconds", "When a version of the site last came into force."),
    _gauge("nearcast_config_info", "1 for the version of the site in force.", version=()),
    _gauge("nearcast_build_info", "1 for the version of the program.", version=()),
)  # fmt: skip

#: Outcome and reason of every decision there can be.
DECIDED: Final = tuple(("send" if reason is Reason.SENT else "suppress", reason.value) for reason in Reason)


def page() -> str:
    """The table as a page of the docs, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "Made from `connectors/metrics_table.py`; a test holds the two equal. Served at `/metrics`, beside Python's",
        "usual `process_*` ones. Every label value below exists from the start at 0, as does every channel, and every",
        "rule that runs with each of its reasons. Above `metrics.max_rules` rules the label `rule` is `*`.",
        "",
        "| metric | kind | meaning |",
        "|---|---|---|",
    ]
    for row in TABLE:
        labels = f"{{{','.join(row.labels)}}}" if row.labels else ""
        lines.append(f"| `{row.name}{labels}` | {row.kind} | {row.help} |")
    lines += ["", "## Labels", "", "| label | values |", "|---|---|"]
    seen: dict[str, str] = {}
    for row in TABLE:
        for label, values in row.values.items():
            key = "reason (rejected)" if label == "reason" else label
            seen.setdefault(key, ", ".join(f"`{v}`" for v in values))
    seen["reason (decisions)"] = ", ".join(f"`{reason}`" for _, reason in DECIDED)
    lines += [f"| {label} | {values} |" for label, values in sorted(seen.items())]
    buckets = ", ".join(f"{b:g}" for b in BUCKETS_S)
    lines += [
        "",
        f"Histograms have buckets at {buckets} seconds.",
        "",
        "## What balances",
        "",
        "Over a process's life: received = accepted + duplicate + rejected, of pings and of events. Pending at the",
        "start plus begun plus resent = the sum of the outcomes plus pending.",
        "",
        "In the scaled-out form gateways count what they received, accepted and rejected, and no duplicates of pings:",
        "received = accepted + rejected, summed over the gateways. Workers count how many of the accepted pings were",
        "duplicates, and how many were late, when they fold them; what is folded again after a fault counts again.",
        "",
    ]
    return "\n".join(lines)
