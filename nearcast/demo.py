"""`nearcast demo`: the shipped Tokyo site, a simulated crowd, a Wednesday at 16:59:30.

Owns the show: the folder that is thrown away afterwards, and what is printed. The crowd posts over real HTTP. The
engine behind is that of `nearcast run`, store and all.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.live import Live as Screen
from rich.text import Text

from connectors.clock import ShiftedClock
from connectors.logs import configure_logs
from nearcast.crowd import Crowd
from nearcast.crowd_post import CrowdPoster
from nearcast.fault import ExitCode, InputFaultError
from nearcast.folder import read_folder
from nearcast.kernels import ready_kernels
from nearcast.map_file import MapFile
from nearcast.run import listen_option, run_loop
from nearcast.site_store import settings_of, store_path
from nearcast.terminal import console_on
from nearcast.town import town_of
from nearcast.wiring import Surroundings, start

if TYPE_CHECKING:
    from rich.console import Console

    from connectors.metrics import Metrics
    from nearcast.replay_options import DemoOptions

SITE = Path(__file__).parent.parent / "examples/tokyo"
#: Wednesday 2026-11-25, 16:59:30 in Tokyo.
START_MS = 1_795_593_570_000
#: At most so many pushes a second are printed; all are counted.
SHOWN_PER_S = 12


def demo(options: DemoOptions) -> int:
    """Show it until Ctrl-C, or for `options.seconds`. Returns the exit code."""
    if not SITE.is_dir():
        raise InputFaultError(f"the Tokyo site is not at `{SITE}`, run the demo from a checkout of the repository")
    console = console_on(sys.stdout)
    configure_logs(level="error")
    ready_kernels()
    with tempfile.TemporaryDirectory(prefix="nearcast-demo-") as folder, contextlib.suppress(KeyboardInterrupt):
        site = Path(folder) / "tokyo"
        shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("var", "*.md"))
        run_loop(_show(site, options, console))
    return ExitCode.GOOD


async def _show(site: Path, options: DemoOptions, console: Console) -> None:
    clock = ShiftedClock(START_MS)
    files = read_folder(site)
    show = Show(console)
    around = Surroundings(
        clock=clock,
        show=show.push,
        colour=console.is_terminal,
        listen=listen_option(options.listen) or ("127.0.0.1", 0),
    )
    process = await start(site, files, around, MapFile(store_path(site, settings_of(files))))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    crowd = Crowd(options.seed, town=town_of(files), start_ms=START_MS, people=options.crowd)
    console.print(
        f"[bold]Nearcast[/] on Tokyo, Wednesday 16:59:30, {options.crowd:,} people; the time sale opens at 17:00\n"
        f"rules to edit while it runs: [cyan]{site}/rules/[/]\n"
        f"metrics: [cyan]{process.url}/metrics[/]   who is at Shinjuku: "
        f"[cyan]{process.url}/v1/places/shinjuku/present[/]"
    )
    walking = asyncio.create_task(CrowdPoster(crowd, process.url, clock, show.posted).walk())
    with Screen(console=console, auto_refresh=False, transient=False) as screen:
        ends_s = None if options.seconds is None else clock.monotonic_s() + options.seconds
        while not stop.is_set() and not walking.done() and (ends_s is None or clock.monotonic_s() < ends_s):
            show.refresh(screen, process.metrics, clock)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.25)
    walking.cancel()
    await asyncio.gather(walking, return_exceptions=True)
    await process.stop()
    if walking.done() and not walking.cancelled():
        walking.result()


@dataclass(slots=True)
class Show:
    """What the terminal shows: pushes as they leave, and one line of figures in place."""

    console: Console
    pings: int = 0
    pushes: int = 0
    hidden: int = 0
    _waiting: list[str] = field(default_factory=list)
    _seen: list[tuple[float, int]] = field(default_factory=list)

    def posted(self, pings: int) -> None:
        """So many pings were taken."""
        self.pings += pings

    def push(self, line: str) -> None:
        """A message left."""
        self.pushes += 1
        self._waiting.append(line)

    def refresh(self, screen: Screen, metrics: Metrics, clock: ShiftedClock) -> None:
        """Print the newest pushes, then the figures."""
        now_s = clock.monotonic_s()
        lines, self._waiting = self._waiting, []
        room = max(1, SHOWN_PER_S // 4)
        for line in lines[:room]:
            self.console.print(Text.from_ansi(line))
        self.hidden += max(0, len(lines) - room)
        self._seen = [(s, n) for s, n in self._seen if now_s - s < 5.0] + [(now_s, self.pings)]
        first_s, first = self._seen[0]
        rate = (self.pings - first) / (now_s - first_s) if now_s > first_s else 0.0
        p50, p99 = (_ms(_quantile(metrics, q)) for q in (0.5, 0.99))
        minutes, seconds = divmod((clock.now_ms() - START_MS) // 1000 + 30, 60)
        figures = Text.assemble(
            (f" {16 + (59 + minutes) // 60}:{(59 + minutes) % 60:02d}:{seconds:02d} ", "reverse"),
            f"  {rate:,.0f} pings/s   ping to hand-off p50 {p50} p99 {p99}   ",
            (f"{self.pushes:,} pushes", "bold green"),
            (f"   {self.hidden:,} not shown" if self.hidden else "", "dim"),
        )
        screen.update(figures, refresh=True)
        if not self.console.is_terminal and lines:
            sys.stdout.flush()


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _quantile(metrics: Metrics, q: float) -> float | None:
    """A quantile of ping to hand-off in seconds, as Prometheus reckons it from the buckets; None before the first."""
    family = next(f for f in metrics.registry.collect() if f.name == "nearcast_ping_to_handoff_seconds")
    buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
    wanted = q * buckets[-1][1]
    low_s, low = 0.0, 0.0
    for high_s, high in buckets:
        if high >= wanted > low:
            return low_s if high_s == float("inf") else low_s + (high_s - low_s) * (wanted - low) / (high - low)
        low_s, low = high_s, high
    return None
