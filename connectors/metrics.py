"""The metrics of one process, as they are counted.

Owns when a label set begins to exist, and that there are never too many. What there is to count stands in
`connectors/metrics_table.py`. Must not know who counts. All methods are cheap: no look-up by text on the way of a ping.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from connectors.clock import MachineClock
from connectors.metrics_table import BUCKETS_S, DECIDED, RULE_STATES, TABLE, MetricKind, Row
from connectors.tallies import Counts, Spreads
from engine.told import count_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from connectors.clock import Clock
    from engine.counted import Counted
    from engine.ports import AttemptResult, DeliveryState
    from engine.step import Effects
    from engine.told import Transition
    from rules.facts import Decision
    from rules.model import Rule

__all__ = ["TABLE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: The label of a rule when there are too many of them.
ANY_RULE: Final = "*"


class Metrics:
    """All counters and gauges of one process, in a registry of their own."""

    def __init__(self, max_rules: int = 200, clock: Clock | None = None) -> None:
        self._clock = clock or MachineClock()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._all = {row.name: _made(row, self.registry) for row in TABLE}
        self._max_rules = max_rules
        self._rules: set[str] = set()
        self._many_rules = False
        self._channels: set[str] = set()
        self._version = ""
        self._all["nearcast_build_info"].labels(_program_version()).set(1)
        self._all["nearcast_config_last_reload_successful"].set(1)

    def render(self) -> tuple[bytes, str]:
        """The text that a scrape gets, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE

    # -- HTTP ------------------------------------------------------------------------------------------------------

    def taken(self, what: str, *, received: int, accepted: int, duplicate: int, rejected: Mapping[str, int]) -> None:
        """What became of a body of `pings` or `events` that was answered 202 or 422."""
        self._all[f"nearcast_{what}_received_total"].inc(received)
        self._all[f"nearcast_{what}_accepted_total"].inc(accepted)
        if duplicate:
            self._all[f"nearcast_{what}_duplicate_total"].inc(duplicate)
        for reason, n in rejected.items():
            self._all[f"nearcast_{what}_rejected_total"].labels(reason).inc(n)

    def request(self, route: str, code: int, seconds: float) -> None:
        """A request was answered. `route` is one of `ROUTES`."""
        self._all["nearcast_requests_total"].labels(route, str(code)).inc()
        self._all["nearcast_request_seconds"].labels(route).observe(seconds)

    def in_flight(self, count: Callable[[], int]) -> None:
        """Who scrapes asks this how many requests with a body are under way."""
        self._all["nearcast_requests_in_flight"].set_function(count)

    def ready(self, ready: bool) -> None:
        """Whether pings are taken."""
        self._all["nearcast_ready"].set(ready)

    # -- the engine ------------------------------------------------------------------------------------------------

    @contextmanager
    def step_timer(self) -> Iterator[None]:
        """Around one step."""
        began_s = self._clock.monotonic_s()
        yield
        self._all["nearcast_step_seconds"].observe(self._clock.monotonic_s() - began_s)

    @contextmanager
    def commit_timer(self) -> Iterator[None]:
        """Around one commit. One that raises counts as failed."""
        began_s = self._clock.monotonic_s()
        try:
            yield
        except Exception:
            self.commit_failed()
            raise
        self._all["nearcast_commit_seconds"].observe(self._clock.monotonic_s() - began_s)

    def commit_failed(self) -> None:
        """A commit failed, or a try of a store that could not commit: whoever watches is to see that it lasts."""
        self._all["nearcast_commit_failures_total"].inc()

    def effects(self, effects: Effects) -> None:
        """What one committed step left behind."""
        self.happened(effects.counted, effects.transitions, effects.decisions)
        for delivery in effects.deliveries:
            self.begun(delivery.channel)
        if effects.resent:
            self.resent(len(effects.resent))

    def happened(
        self, counted: Iterable[Counted], transitions: Iterable[Transition], decisions: Iterable[Decision]
    ) -> None:
        """What was folded, and what came of it."""
        late = sum(sum(one.late.tolist()) for one in counted)
        if late:
            self._all["nearcast_pings_late_total"].inc(late)
        for kind, count in count_kinds(transitions).items():
            if count:
                self._all["nearcast_transitions_total"].labels(kind.value).inc(count)
        for decision in decisions:
            self.decision(decision.rule, decision.outcome.value, decision.reason.value)

    def begun(self, channel: str) -> None:
        """A message is to be handed over."""
        self._all["nearcast_deliveries_begun_total"].labels(channel).inc()

    def decision(self, rule: str, outcome: str, reason: str) -> None:
        """A rule decided."""
        label = rule if not self._many_rules and rule in self._rules else ANY_RULE
        self._all["nearcast_decisions_total"].labels(label, outcome, reason).inc()

    def resent(self, n: int) -> None:
        """So many ended deliveries are to be sent again."""
        self._all["nearcast_deliveries_resent_total"].inc(n)

    def devices(self, n: int) -> None:
        """So many devices are known."""
        self._all["nearcast_devices"].set(n)

    def tail(self, rows: int) -> None:
        """So many rows were journaled since the last checkpoint."""
        self._all["nearcast_journal_tail_rows"].set(rows)

    def checkpointed(self, at_ms: int) -> None:
        """A checkpoint was kept."""
        self._all["nearcast_checkpoint_timestamp_seconds"].set(at_ms / 1000)

    def repeated(self, counted: Iterable[Counted]) -> None:
        """What was folded whose duplicates nobody knew before: where pings are answered before they are folded."""
        duplicate = sum(sum(one.duplicate.tolist()) for one in counted)
        if duplicate:
            self._all["nearcast_pings_duplicate_total"].inc(duplicate)

    # -- a cluster's parts -----------------------------------------------------------------------------------------

    def frames(self, result: str, n: int) -> None:
        """A worker did something with records; `result` is one of `FRAMES`."""
        if n:
            self._all["nearcast_frames_total"].labels(result).inc(n)

    def shards(self, *, held: int, waiting: int) -> None:
        """So many shards or partitions are held here, so many of them wait."""
        self._all["nearcast_shards"].set(held)
        self._all["nearcast_shards_waiting"].set(waiting)

    def lag(self, records: int) -> None:
        """So many records are not worked yet."""
        self._all["nearcast_lag_records"].set(records)

    def clock_skew(self, ahead_ms: float) -> None:
        """This machine's clock is so far ahead of the broker's."""
        self._all["nearcast_clock_skew_seconds"].set(ahead_ms / 1000)

    # -- the site --------------------------------------------------------------------------------------------------

    def in_force(
        self, version: str, *, fences: int, rules: Iterable[Rule], channels: Iterable[str], at_ms: int
    ) -> None:
        """A version of the site came into force: its rules and channels get their label sets."""
        rules = list(rules)
        self._all["nearcast_fences"].set(fences)
        for state in RULE_STATES:
            self._all["nearcast_rules"].labels(state).set(sum(rule.state == state for rule in rules))
        if self._version:
            self._all["nearcast_config_info"].remove(self._version)
        self._version = version
        self._all["nearcast_config_info"].labels(version).set(1)
        self._all["nearcast_config_last_reload_success_timestamp_seconds"].set(at_ms / 1000)
        self.set_channels(channels)
        self.set_rules([rule.id for rule in rules if rule.acts])

    def reloaded(self, *, good: bool) -> None:
        """The files were read again."""
        self._all["nearcast_config_last_reload_successful"].set(good)

    def set_rules(self, running: Iterable[str]) -> None:
        """Give the rules that run their label sets, at 0. Above `max_rules` they share the label `*`."""
        names = set(running)
        self._many_rules = len(names) > self._max_rules
        if self._many_rules:
            names = {ANY_RULE}
        elif len(self._rules | names) > 2 * self._max_rules:
            self._forget(self._rules - names)
        self._rules |= names
        for name, (outcome, reason) in product(sorted(names), DECIDED):
            self._all["nearcast_decisions_total"].labels(name, outcome, reason)

    def _forget(self, rules: set[str]) -> None:
        """Rules that are gone keep their series while there is room: what they last counted may not be scraped yet."""
        self._rules -= rules
        for name, (outcome, reason) in product(rules, DECIDED):
            self._all["nearcast_decisions_total"].remove(name, outcome, reason)

    def set_channels(self, channels: Iterable[str]) -> None:
        """Give the channels their label sets, at 0."""
        for channel in set(channels) - self._channels:
            self._channels.add(channel)
            for row in TABLE:
                if row.labels[:1] == ("channel",):
                    rest = [row.values[label] for label in row.labels[1:]]
                    for values in product(*rest):
                        self._all[row.name].labels(channel, *values)

    # -- delivery --------------------------------------------------------------------------------------------------

    def attempt(self, channel: str, result: AttemptResult) -> None:
        """One attempt was made."""
        self._all["nearcast_delivery_attempts_total"].labels(channel, result.value).inc()

    def handoff(self, received_ms: float, handed_ms: float) -> None:
        """A message's first request was written at `handed_ms`; the ping that caused it came at `received_ms`."""
        self._all["nearcast_ping_to_handoff_seconds"].observe(max(handed_ms - received_ms, 0) / 1000)

    def ended(self, channel: str, outcome: DeliveryState, created_ms: int, ended_ms: int) -> None:
        """A delivery came to its end."""
        self._all["nearcast_deliveries_total"].labels(channel, outcome.value).inc()
        self._all["nearcast_delivery_seconds"].labels(channel).observe(max(ended_ms - created_ms, 0) / 1000)

    def pending(self, channel: str, n: int) -> None:
        """So many deliveries of the channel have not ended."""
        self._all["nearcast_deliveries_pending"].labels(channel).set(n)


def _made(row: Row, registry: CollectorRegistry) -> Any:
    """The metric of a row, with the label sets that are known."""
    made: Any
    match row.kind:
        case MetricKind.COUNTER:
            made = Counts(row.name, row.help, row.labels, registry)
        case MetricKind.GAUGE:
            made = Gauge(row.name, row.help, row.labels, registry=registry)
        case MetricKind.HISTOGRAM:
            made = Spreads(row.name, row.help, row.labels, registry, bounds=BUCKETS_S)
    for values in _label_sets(row):
        made.labels(*values)
    return made


def _label_sets(row: Row) -> list[tuple[str, ...]]:
    """The label sets that exist whatever the site says; none if one of the labels is the site's."""
    if not row.labels or len(row.values) < len(row.labels):
        return []
    return list(product(*(row.values[label] for label in row.labels)))


def _program_version() -> str:
    try:
        return version("nearcast")
    except PackageNotFoundError:
        return "unknown"
