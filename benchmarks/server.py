"""A `nearcast run` of a benchmark's own: started on a site, asked, ended.

Owns the process and the plain HTTP that is spoken with it. Must not know what is measured.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterable

CONNECTIONS = 4
"""As many gateways post at once, each waiting for its answer before it posts again."""
_START_S = 120


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
        self._sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(CONNECTIONS)]
        for connection in self._sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _until_ready(self) -> None:
        until = time.monotonic() + _START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nearcast run never became ready: {self._log.read_text()[-500:]}")

    def post(self, path: str, bodies: Iterable[bytes]) -> None:
        """Post every body, `CONNECTIONS` at a time; all are answered when this returns."""
        waiting = [False] * CONNECTIONS
        for n, body in enumerate(bodies):
            at = n % CONNECTIONS
            if waiting[at]:
                _answer(self._sockets[at])
            head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(body)}\r\n\r\n"
            self._sockets[at].sendall(head.encode() + body)
            waiting[at] = True
        for at in range(CONNECTIONS):
            if waiting[at]:
                _answer(self._sockets[at])

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def rest(self) -> None:
        """Wait until every message has left."""
        while self.metric("nearcast_deliveries_pending") > 0:
            time.sleep(0.02)

    def close(self) -> None:
        """End it in good order."""
        for connection in self._sockets:
            connection.close()
        self._process.terminate()
        self._process.wait(60)


def cpu_s_of(pid: int) -> float:
    """The processor time that a process has had, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answer(connection: socket.socket) -> None:
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(connection)
    length = int(data[:end].lower().rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(data) < end + 4 + length:
        data += _more(connection)
    if not data.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")) or b'"rejected":[{' in data:
        raise SystemExit(f"a request was answered {data[:300]!r}")


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise SystemExit("nearcast run closed a connection")
    return data


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
