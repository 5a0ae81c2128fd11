"""A real Redis and a real Kafka for the tests: started on free ports, with their data in a folder, ended after.

Owns finding the programs, starting, stopping and killing them. `.ci/servers` fetches them. Where they are absent the
tests are skipped, but with `CI` set they fail. Nothing of the product is imported.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JARS = ROOT / ".ci/tools/kafka"
#: How long a server may take to answer on a machine that does other things too.
START_S = 90.0
_HEAP = ("-Xms384m", "-Xmx512m", "-XX:+UseG1GC")


def missing() -> str | None:
    """What is not installed, in one line; None when all is there."""
    lacks = [name for name in ("redis-server", "java") if shutil.which(name) is None]
    if not list(JARS.glob("kafka_*.jar")):
        lacks.append("Kafka's jars")
    return f"{', '.join(lacks)} not found, `.ci/servers` fetches them" if lacks else None


def need_servers() -> None:
    """Skip what needs servers that are not installed; fail when this is CI."""
    lacks = missing()
    if lacks is not None and os.environ.get("CI"):
        pytest.fail(lacks)
    if lacks is not None:
        pytest.skip(lacks)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


@dataclass
class Server:
    """One server process, through all its lives, on one port and one folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    _child: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.launch()
        deadline = time.monotonic() + START_S
        while not self.is_up():
            assert self._child is not None
            ended = self._child.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"{type(self).__name__} is not up: {self.log_file.read_text()[-1500:]}")
            try:
                self._child.wait(0.05)
            except subprocess.TimeoutExpired:
                continue

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)

    def is_up(self) -> bool:
        return _answers(self.port)

    def tell(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for that."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
            try:
                self._child.wait(20)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()

    def kill(self) -> None:
        """kill -9."""
        self.stop(signal.SIGKILL)


class Redis(Server):
    """A Redis that keeps what it acknowledged over a kill of its process; `sync` says when also over a power cut."""

    options: tuple[str, ...] = ()
    sync: str = "always"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--appendonly", "yes", "--appendfsync", self.sync, "--save", "", *self.options,
        ]  # fmt: skip

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                line.sendall(b"PING\r\n")
                return line.recv(64).startswith(b"+PONG")
        except OSError:
            return False


@dataclass
class Kafka(Server):
    """One broker that is its own controller."""

    controller_port: int = field(default_factory=free_port)

    @property
    def brokers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def java(self, *words: str) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return ["java", *_HEAP, quiet, "-cp", f"{JARS}/*", *words]

    def format_words(self) -> list[str]:
        """What else its storage is made with."""
        return []

    def command(self) -> list[str]:
        settings = self.folder / "server.properties"
        if not settings.exists():
            settings.write_text(self._settings())
            cluster = "bmVhcmNhc3QtdGVzdC0wMQ"
            words = ("format", "-t", cluster, "-c", str(settings), *self.format_words())
            made = subprocess.run(
                self.java("kafka.tools.StorageTool", *words),
                capture_output=True, text=True, check=False, timeout=START_S,
            )  # fmt: skip
            assert made.returncode == 0, made.stdout + made.stderr
        return self.java("kafka.Kafka", str(settings))

    def _settings(self) -> str:
        return f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{self.controller_port}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={self.folder}/kafka
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
