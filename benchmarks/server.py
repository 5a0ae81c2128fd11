"""A `nearcast run` of a benchmark's own: its site written, started, asked, ended.

Owns the process and what it tells of itself. Load is put on it by `gateway`. Must not know what is measured.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import orjson
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.gateway import post

if TYPE_CHECKING:
    from collections.abc import Sequence

_START_S = 120

_IDLE_S = 0.1
"""Who has had no tick of a processor for so long has nothing to do: no message waits so long for its turn."""


class Server:
    """A running site. It has the core that this process is bound to when it starts."""

    def __init__(self, site: Path) -> None:
        self.port = _free_port()
        self._log = site / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("nearcast"), "run", site, "--listen", f"127.0.0.1:{self.port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.pid = self._process.pid
        self._until_ready()

    def _until_ready(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nearcast run never became ready: {self._log.read_text()[-500:]}")

    def agree(self, names: Sequence[str], time_ms: int) -> None:
        """These people consent: as events of an app, a thousand at a time."""
        changes = [
            {"id": "agrees", "user": name, "type": "user.updated", "time": time_ms,
             "data": {"consent": {"marketing": True}}}
            for name in names
        ]  # fmt: skip
        bodies = [orjson.dumps(changes[n : n + 1000]) for n in range(0, len(changes), 1000)]
        asyncio.run(post(self.port, "/v1/events", bodies))

    def samples(self, name: str) -> list[Any]:
        """Every sample of a metric, each with its labels and its value."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return [sample for family in families for sample in family.samples if sample.name == name]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return sum(s.value for s in self.samples(name) if labels.items() <= s.labels.items())

    def pending(self) -> bool:
        """True while some message has not left. The answer costs the server as much as some thousand pings."""
        return self.metric("nearcast_deliveries_pending") > 0

    def rest(self) -> None:
        """Wait until every message has left."""
        while self.pending():
            time.sleep(0.02)

    def until_idle(self) -> None:
        """Wait until it works no more, without asking it: that would be work."""
        spent = cpu_s_of(self.pid)
        while True:
            time.sleep(_IDLE_S)
            before, spent = spent, cpu_s_of(self.pid)
            if spent == before:
                return

    def close(self) -> None:
        """End it in good order."""
        self._process.terminate()
        self._process.wait(60)


def write_site(site: Path, fences: bytes, settings: str, rule: str) -> Path:
    """A site of these in a folder."""
    for folder, name, content in (("fences", "city.geojson", fences), ("rules", "bench.yaml", rule.encode())):
        (site / folder).mkdir(parents=True)
        (site / folder / name).write_bytes(content)
    (site / "nearcast.yaml").write_text(settings)
    return site


def cpu_s_of(pid: int) -> float:
    """The processor time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
