"""Counters and histograms as plain numbers, of which a scrape makes samples.

Owns these two, as collectors of the Prometheus library. Its own forms take a lock and three calls for each count, which
together were a twentieth of all that a post of a hundred pings cost. Here there is no lock: all counting is done on one
event loop, and so is the scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

Child = TypeVar("Child")


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, by: int = 1) -> None:
        """Count so many more."""
        self.value += by


class Spread:
    """How measured values spread over buckets, by their upper bounds."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Take in a value; one at a bound is below it."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class _Family(Collector, Generic[Child]):
    """The label sets of one metric; `new` makes what is counted under one."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry, new: Callable[[], Child]
    ) -> None:
        self._name, self._text, self._labels, self._new = name, text, labels, new
        self._children: dict[tuple[str, ...], Child] = {}
        if not labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Child:
        """What is counted under these values; from now on it is there, at 0."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._new()
        return child

    def remove(self, *values: str) -> None:
        """Tell of these values no longer."""
        self._children.pop(values, None)


class Counts(_Family[Count]):
    """A counter.

    >>> from prometheus_client import CollectorRegistry, generate_latest
    >>> registry = CollectorRegistry()
    >>> counts = Counts("pings_total", "Pings.", ("kind",), registry)
    >>> counts.labels("plain").inc(3)
    >>> generate_latest(registry).splitlines()[-1]
    b'pings_total{kind="plain"} 3.0'
    """

    def __init__(self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        super().__init__(name, text, labels, registry, Count)

    def inc(self, by: int = 1) -> None:
        """Count so many more of a metric without labels."""
        self._children[()].inc(by)

    def collect(self) -> Iterable[Metric]:
        """Its samples."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family


class Spreads(_Family[Spread]):
    """A histogram. `bounds` ascend; beyond the last there is one bucket more.

    >>> from prometheus_client import CollectorRegistry, generate_latest
    >>> registry = CollectorRegistry()
    >>> spreads = Spreads("step_seconds", "Steps.", (), registry, bounds=(0.5, 1.0))
    >>> for seconds in (0.5, 0.75, 2.0):
    ...     spreads.observe(seconds)
    >>> [line.split()[-1].decode() for line in generate_latest(registry).splitlines()[2:]]
    ['1.0', '2.0', '3.0', '3.0', '3.25']
    """

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry, *, bounds: Sequence[float]
    ) -> None:
        self._told = [*map(floatToGoString, bounds), "+Inf"]
        super().__init__(name, text, labels, registry, lambda: Spread(bounds))

    def observe(self, value: float) -> None:
        """Take in a value of a metric without labels."""
        self._children[()].observe(value)

    def collect(self) -> Iterable[Metric]:
        """Its samples."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, child in self._children.items():
            buckets = list(zip(self._told, accumulate(child.counts), strict=True))
            family.add_metric(values, buckets, child.sum)
        yield family
