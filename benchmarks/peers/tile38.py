"""Tile38, with one channel a fence: itself where its server is, else what was measured of it.

Owns its server, fed and asked in the form that served it best: `SETCHAN .. WITHIN fleet FENCE DETECT enter,exit` for
each fence, pings as pipelined `SET fleet d POINT lat lng`, one subscriber to all. `TILE38_SERVER`, or `tile38-server`
on the PATH, is the server; it comes from no package registry, so that most machines have none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Protocol

from shapely.geometry import mapping

from benchmarks.bench import Side
from benchmarks.peers.program import AbsentError
from benchmarks.rounds import processor_s

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from benchmarks.city import City

NAME = "Tile38"
CONNECTIONS = 4
IN_FLIGHT = 200 * CONNECTIONS
"""What was recorded had so many SETs under way at once."""
RECORDED_US = {10_000: (11.2, 34.0), 50_000: (32.2, 53.5)}
"""Microseconds of processor a SET, by fences: `IN_FLIGHT`, over all connections; 5,000 a second, 5 at once."""
RECORDED = "1.37.0, 2026-11-23, on another machine: 2 shared AMD EPYC cores"
FORM = "SETCHAN a fence, WITHIN, DETECT enter,exit, appendonly yes (synced once a second), one subscriber to all"


class Crowded(Protocol):
    """The crowd of `benchmarks/run.py`."""

    world: City
    pings: int

    def round(self) -> list[tuple[str, float, float]]:
        """(device, lat, lng) of each ping of one round."""


def recorded(fences: int, pings: int, in_flight: int) -> Side:
    """What was measured, on the same fences and pace; of its two figures the one that is nearer in pings under way."""
    many, few = RECORDED_US[fences]
    us, how = (many, f"{IN_FLIGHT} SETs in flight") if in_flight > 5 else (few, "5 SETs at once")
    spent_s = us * pings / 1e6
    return Side(f"{NAME} 1.37.0, recorded: {how}", pings, lambda: spent_s, lambda: None, FORM, RECORDED)


def side(crowd: Crowded, in_flight: int, keep: ExitStack) -> Side:
    """The server itself, with so many SETs under way at once. Raises `AbsentError`."""
    program = os.environ.get("TILE38_SERVER") or shutil.which("tile38-server")
    if program is None:
        raise AbsentError(f"{NAME}: no `tile38-server` on the PATH and no TILE38_SERVER: its recorded figures stand in")
    server = _Server(program, keep)
    server.load(crowd.world)
    batch = max(1, in_flight // CONNECTIONS)
    server.set(crowd.round(), batch)

    def moves() -> tuple[int, int]:
        server.heard.rest()
        server.heard.count.clear()
        server.set(crowd.round(), batch)
        server.heard.rest()
        return server.heard.count.get("enter", 0), server.heard.count.get("exit", 0)

    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"[0-9]+(?:\.[0-9]+)+", said)
    name = f"{NAME} {version[0] if version else 'of unknown version'}"
    return Side(name, crowd.pings, lambda: server.set(crowd.round(), batch), moves, FORM)


class _Server:
    def __init__(self, program: str, keep: ExitStack) -> None:
        folder = keep.enter_context(tempfile.TemporaryDirectory())
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = [program, "-h", "127.0.0.1", "-p", str(port), "-d", folder, "--appendonly", "yes", "-q"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        keep.callback(process.wait, 30)
        keep.callback(process.terminate)
        self._pid = process.pid
        self._sockets = [keep.enter_context(_connected(port, process)) for _ in range(CONNECTIONS)]
        self.heard = _Heard(keep.enter_context(_connected(port, process)))

    def load(self, world: City) -> None:
        """One channel a fence."""
        made = (
            _command("SETCHAN", f"f{n}", "WITHIN", "fleet", "FENCE", "DETECT", "enter,exit", "COMMANDS", "set",
                     "OBJECT", json.dumps(mapping(polygon)))
            for n, polygon in enumerate(world.polygons)
        )  # fmt: skip
        for command in made:
            self._sockets[0].sendall(command)
            _lines(self._sockets[0], 1)

    def set(self, pings: Iterable[tuple[str, float, float]], batch: int) -> float:
        """Set everybody's position, `batch` in flight on each connection; the server's processor time."""
        commands = [_command("SET", "fleet", d, "POINT", repr(lat), repr(lng)) for d, lat, lng in pings]
        parts = [commands[n : n + batch] for n in range(0, len(commands), batch)]
        before = processor_s(self._pid) or 0.0
        waiting = [0] * CONNECTIONS
        for n, part in enumerate(parts):
            at = n % CONNECTIONS
            _lines(self._sockets[at], waiting[at])
            self._sockets[at].sendall(b"".join(part))
            waiting[at] = len(part)
        for connection, count in zip(self._sockets, waiting, strict=True):
            _lines(connection, count)
        return (processor_s(self._pid) or 0.0) - before


class _Heard:
    """The subscriber: counts what it hears."""

    def __init__(self, connection: socket.socket) -> None:
        self.count: dict[str, int] = {}
        self._connection, self._newest_s = connection, time.monotonic()
        connection.sendall(_command("PSUBSCRIBE", "*"))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        tail = b""
        try:
            while data := self._connection.recv(1 << 20):
                self._newest_s = time.monotonic()
                data = tail + data
                whole, _, tail = data.rpartition(b'"hook"')
                for kind in ("enter", "exit"):
                    self.count[kind] = self.count.get(kind, 0) + whole.count(b'"detect":"%b"' % kind.encode())
                tail = b'"hook"' + tail if whole else tail
        except OSError:
            return

    def rest(self) -> None:
        """Wait until nothing has come for a while."""
        self._newest_s = time.monotonic()
        while time.monotonic() - self._newest_s < 0.5:
            time.sleep(0.05)


def _connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if process.poll() is not None:
                raise AbsentError(f"{NAME}: its server ended with {process.returncode}") from None
            time.sleep(0.05)
    raise AbsentError(f"{NAME}: its server never answered")


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)


def _lines(connection: socket.socket, count: int) -> bytes:
    """Read so many answers of one line each. Raises `RuntimeError` at one that is an error."""
    data = b""
    while data.count(b"\r\n") < count:
        more = connection.recv(1 << 16)
        if not more:
            raise RuntimeError("tile38-server closed a connection")
        data += more
    if b"-" in data[:1] or b"\n-" in data:
        raise RuntimeError(f"tile38-server said {data[:200]!r}")
    return data
