"""The scaled-out form beside others, on servers of its own: `python -m benchmarks.cluster_beside [--quick] [--record]`.

One worker beside a Faust agent with one table write a ping; two workers beside one; how long a shard with many devices
is dark when it changes hands; and `benchmarks.cluster` on the same Kafka and Redis. All of it shares this machine's
cores. A figure is the median of rounds that take turns.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cluster_dispatch import measured as dispatched
from benchmarks.cluster_lab import (
    Bench,
    Role,
    Steady,
    bench,
    frame_of,
    make_topic,
    pings_of,
    tells,
    waited,
    write_records,
)
from benchmarks.record import RESULTS, about, write
from engine.warm import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FENCES = 2_000
FRAME = 50
DEVICES = 20_000
#: How often a worker is asked how far it is: each answer takes some of its processor.
_LOOK_S = 0.2


def ours_pings_s(bench: Bench, steady: Sequence[tuple[int, bytes]], partitions: int, workers: int = 1) -> float:
    """Pings a second that so many workers fold, which are there before the pings are."""
    site, name = bench.site(partitions, FENCES)
    roles = [bench.start("worker", site) for _ in range(workers)]
    bench.ready(*roles)
    records = [(p, frame_of(body)) for p, body in steady]

    def folded() -> int:
        return sum(role.folded() for role in roles)

    # in the first round everybody enters something: it does not count
    arrive = DEVICES // FRAME + partitions
    write_records(bench.kafka.brokers, pings_of(name), records[:arrive])
    waited(lambda: folded() >= arrive, "everybody is there")
    began = time.perf_counter()
    write_records(bench.kafka.brokers, pings_of(name), records[arrive:])
    waited(lambda: folded() >= len(records), "all records are folded", _LOOK_S)
    spent = time.perf_counter() - began
    bench.end(*roles)
    return (len(records) - arrive) * FRAME / spent


def peer_pings_s(bench: Bench, steady: Sequence[tuple[int, bytes]], partitions: int, number: int) -> float:
    """The same of the Faust agent."""
    topic = f"peer{number}"
    make_topic(bench.kafka.brokers, topic, partitions)
    write_records(bench.kafka.brokers, topic, steady)
    words = [bench.kafka.brokers, topic, str(partitions), str(len(steady))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.cluster_faust", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(re.findall(r"[0-9.]+", done.stdout)[-1])  # Faust shows a spinner before it


def takeover_s(bench: Bench, devices: int) -> tuple[float, float]:
    """Seconds until a shard with so many devices is served again: by its worker, killed and started; by another one."""
    site, name = bench.site(1, FENCES)
    steady = Steady(devices, 1, FENCES)
    records = [(p, frame_of(body)) for p, body in steady.bodies(FRAME)]
    write_records(bench.kafka.brokers, pings_of(name), records)
    first = bench.start("worker", site, "--instance", "first")
    bench.ready_to_tell(first)
    waited(lambda: first.folded() >= len(records), "all is folded", 0.1)
    more = iter((p, frame_of(body)) for p, body in steady.bodies(FRAME))

    def served_after(act: Callable[[], None], role: Role) -> float:
        began = time.perf_counter()
        act()

        def served() -> bool:
            """A record each time: the one before may have been folded by who ends."""
            write_records(bench.kafka.brokers, pings_of(name), [next(more)])
            return tells(role) and role.folded() > 0

        waited(served, "the shard is served again", 0.02)
        return time.perf_counter() - began

    def kill_and_start() -> None:
        first.process.kill()
        first.process.wait()
        bench.again(first)

    again_s = served_after(kill_and_start, first)
    second = bench.start("worker", site, "--instance", "second")
    bench.ready(second)
    over_s = served_after(first.process.terminate, second)
    bench.end(first, second)
    return again_s, over_s


def main() -> None:
    """Run all; `--quick` with less of everything, `--record` to keep it for docs/performance.md."""
    quick, kept = "--quick" in sys.argv[1:], about("full", "no core")
    warm(lambda name, done, total: None)
    rounds = 1 if quick else 3
    lines: list[list[str]] = []

    def say(*line: str) -> None:
        lines.append(list(line))
        print(" | ".join(line), flush=True)

    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as servers:
        many, few = _steady(4, 200_000 if quick else 600_000), _steady(4, 20_000 if quick else 60_000)
        ours, theirs, one, two = [], [], [], []
        for number in range(rounds):
            ours.append(ours_pings_s(servers, many, 4))
            theirs.append(peer_pings_s(servers, few, 4, number))
            one.append(ours_pings_s(servers, many, 4))
            two.append(ours_pings_s(servers, many, 4, workers=2))
        say("one worker, frames of 50", *_beside(ours, "Faust, one table write a ping", theirs))
        say("two workers, frames of 50", *_beside(two, "one worker, in turn", one))
        devices = 50_000 if quick else 200_000
        again_s, over_s = takeover_s(servers, devices)
        say(f"a shard of {devices:,} devices, its worker killed and started", f"dark for {again_s:.1f} s", "")
        say(f"a shard of {devices:,} devices, its worker told to end", f"dark for {over_s:.1f} s",
            "another takes it after the session of 10 s, since the first has a name")  # fmt: skip
        per_s, cpu_ms, asked = dispatched(servers, 5_000 if quick else 20_000, 0)
        say("one dispatcher, a backlog of messages", f"{per_s:,.0f} messages/s, {cpu_ms:.2f} ms of processor each",
            f"{asked:.0f} commands of Redis each")  # fmt: skip
        where = ["--brokers", servers.kafka.brokers, "--redis", servers.redis.url]
        more = ["--frames", "2000", "--seconds", "5"] if quick else []
        done = subprocess.run([sys.executable, "-m", "benchmarks.cluster", *where, *more], check=True,
                              capture_output=True, text=True)  # fmt: skip
        for line in done.stdout.splitlines():
            say(*line.split(" | "))
    if "--record" in sys.argv[1:]:
        write(RESULTS, "cluster", kept | {"lines": lines})


def _beside(ours: list[float], peer: str, theirs: list[float]) -> tuple[str, str]:
    mine, other = statistics.median(ours), statistics.median(theirs)
    return (
        f"{mine:,.0f} pings/s ({min(ours):,.0f} to {max(ours):,.0f})",
        f"{peer}: {other:,.0f}; ratio {mine / other:.2f}",
    )


def _steady(partitions: int, pings: int) -> list[tuple[int, bytes]]:
    crowd = Steady(DEVICES, partitions, FENCES)
    made: list[tuple[int, bytes]] = []
    while len(made) * FRAME < pings:
        made += crowd.bodies(FRAME)
    return made


if __name__ == "__main__":
    main()
