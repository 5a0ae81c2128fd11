"""`make cluster`: the scaled-out form on a developer's machine, without containers, with the demo's crowd.

Owns starting Kafka, Redis and each role in a folder of their own, saying where to look, and ending all of it: after
Ctrl-C nothing runs any more and nothing is kept. The servers are those of the tests (`tests/cluster/servers.py`).
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO

import typer

from tests.cluster.servers import JARS, ROOT, Kafka, Redis, free_port, missing

NEARCAST = str(Path(sys.executable).with_name("nearcast"))
#: How long a start may take, and how long an end in good order.
START_S, END_S = 120.0, 15.0


@dataclass
class Cluster:
    """What was started, in the order in which it ends last to first."""

    folder: Path
    stop: Event
    kafka: Kafka = field(init=False)
    redis: Redis = field(init=False)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def site(self) -> Path:
        return self.folder / "tokyo"

    def begin(self, port: int, people: int) -> None:
        """Start everything, and wait until each role is ready."""
        self.kafka, self.redis = Kafka(self.folder / "kafka"), Redis(self.folder / "redis")
        self.kafka.start()
        self.redis.start()
        shutil.copytree(ROOT / "examples/tokyo", self.site, ignore=shutil.ignore_patterns("var", "*.md"))
        with (self.site / "nearcast.yaml").open("a") as settings:
            settings.write(
                f'\ncluster: {{brokers: ["{self.kafka.brokers}"], redis: "{self.redis.url}",'
                " partitions: 12, replicas: 1}\n"
            )
        subprocess.run([NEARCAST, "worker", str(self.site), "--create-topics"], check=True, timeout=START_S)
        ports = {"gateway": port, "worker-1": free_port(), "worker-2": free_port(), "dispatcher": free_port()}
        for name, each in ports.items():
            role = name.partition("-")[0]
            named = ["--instance", name] if role != "gateway" else []
            self.launch(name, role, str(self.site), "--listen", f"127.0.0.1:{each}", *named)
        for name, each in ports.items():
            self.wait_for(name, f"http://127.0.0.1:{each}/readyz")
        self.launch("crowd", "crowd", str(self.site), "--to", f"http://127.0.0.1:{port}", "--crowd", str(people))
        self.tell(ports)

    def launch(self, name: str, *words: str) -> None:
        """Start a process of ours. What the dispatcher prints are the messages: they come to the terminal."""
        with (self.folder / f"{name}.log").open("ab") as log:
            out: IO[bytes] | None = None if name == "dispatcher" else log
            # a group of its own: Ctrl-C is for us alone, who end them in order
            self.children[name] = subprocess.Popen([NEARCAST, *words], stdout=out, stderr=log, process_group=0)

    def wait_for(self, name: str, url: str) -> None:
        """Wait until it says that it is ready. Raises `RuntimeError` if it ends instead."""
        for _ in range(int(START_S / 0.1)):
            if self.stop.wait(0.1):
                return
            if self.children[name].poll() is not None:
                log = (self.folder / f"{name}.log").read_text()
                raise RuntimeError(f"{name} ended by itself: {log[-2000:]}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=2):
                return
        raise RuntimeError(f"{name} is not ready after {START_S:.0f} s, see {self.folder}/{name}.log")

    def tell(self, ports: dict[str, int]) -> None:
        """Where to look."""
        typer.echo(f"rules to edit while it runs: {self.site}/rules/    logs: {self.folder}/*.log")
        typer.echo(f"who is at Shinjuku: curl 127.0.0.1:{ports['gateway']}/v1/places/shinjuku/present")
        for name, port in ports.items():
            typer.echo(f"{name:>10}  pid {self.children[name].pid:>7}  http://127.0.0.1:{port}/metrics")
        typer.echo(f"Kafka {self.kafka.brokers}, Redis {self.redis.url}")
        typer.echo("kill -9 whom you like, and start it again as it stands in `ps`. Ctrl-C ends all of it.")

    def end(self) -> None:
        """End everything: who feeds first, who is fed last."""
        for name in ("crowd", "gateway", "worker-1", "worker-2", "dispatcher"):
            child = self.children.get(name)
            if child is None or child.poll() is not None:
                continue
            child.terminate()
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for server in (getattr(self, "redis", None), getattr(self, "kafka", None)):
            if server is not None:
                server.stop()


def main(
    port: int = typer.Option(8080, help="Where the gateway listens; 0 takes a free one."),
    crowd: int = typer.Option(2_000, min=1, help="How many people walk about."),
    seconds: float | None = typer.Option(None, min=0.0, help="End by itself after so long."),
) -> None:
    """Run Kafka, Redis, a gateway, two workers, a dispatcher and the demo's crowd until Ctrl-C."""
    if (
        missing() is not None
        and not list(JARS.glob("kafka_*.jar"))
        and all(map(shutil.which, ("java", "mvn", "redis-server")))
    ):
        typer.echo("fetching Kafka's jars, the first time takes a minute")
        subprocess.run([ROOT / ".ci/servers"], check=True, stdout=subprocess.DEVNULL)
    lacks = missing()
    if lacks is not None:
        raise SystemExit(f"{lacks}: on Debian `apt install default-jre-headless maven redis-server` first, then again")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="nearcast-cluster-") as folder:
        cluster = Cluster(Path(folder), stop)
        try:
            typer.echo("starting Kafka, Redis, two workers, a gateway, a dispatcher")
            cluster.begin(port or free_port(), crowd)
            stop.wait(seconds)
        finally:
            typer.echo("ending")
            cluster.end()


if __name__ == "__main__":
    typer.run(main)
