"""As much of Tile38 as its driver in the benchmarks asks: the protocol, channels of fences, positions, a subscriber.

Owns nothing of Nearcast's. It stands in for a server that no package registry has, so that the driver is tested.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from typing import Any

from shapely.geometry import Point, shape

FENCES: dict[str, Any] = {}
INSIDE: dict[str, set[str]] = {}
HEARERS: list[Any] = []
LOCK = threading.Lock()


class Talk(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        while head := self.rfile.readline():
            words = [self._word() for _ in range(int(head[1:]))]
            with LOCK:
                self._do(words)

    def _word(self) -> str:
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2].decode()

    def _do(self, words: list[str]) -> None:
        match words:
            case ["SETCHAN", name, "WITHIN", "fleet", "FENCE", "DETECT", "enter,exit", *_, "OBJECT", geometry]:
                FENCES[name] = shape(json.loads(geometry))
                self.wfile.write(b":1\r\n")
            case ["SET", "fleet", device, "POINT", lat, lng]:
                self._moved(device, {n for n, f in FENCES.items() if f.covers(Point(float(lng), float(lat)))})
                self.wfile.write(b"+OK\r\n")
            case ["PSUBSCRIBE", "*"]:
                HEARERS.append(self.wfile)
            case _:
                self.wfile.write(b"-ERR what\r\n")

    def _moved(self, device: str, now: set[str]) -> None:
        was = INSIDE.get(device, set())
        INSIDE[device] = now
        for kind, names in (("exit", was - now), ("enter", now - was)):
            for name in names:
                told = b'{"command":"set","detect":"%b","hook":"%b"}' % (kind.encode(), name.encode())
                for hearer in HEARERS:
                    hearer.write(b"*4\r\n$8\r\npmessage\r\n$%d\r\n%b\r\n" % (len(told), told))


if __name__ == "__main__":
    if "--version" in sys.argv:
        sys.stdout.write("tile38-server version: 9.9.9\n")
    else:
        port = int(sys.argv[sys.argv.index("-p") + 1])
        with socketserver.ThreadingTCPServer(("127.0.0.1", port), Talk) as server:
            server.serve_forever()
