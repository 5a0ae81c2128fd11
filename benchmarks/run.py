"""`nearcast run` as a whole: from the bytes of a request to its durable answer, in processor time a ping.

The world, the crowd and its pace are those that Tile38 was measured on: 24-vertex stars, 20,000 devices, 7 m a ping,
every device seen once before. The server has one core, this process posts from another, several requests at a time, so
that it is never idle: posts of 1,000 as many as Tile38 had connections, posts of 100 so many that as many pings are
under way as there (`benchmarks/gateways.py` has other numbers). Every transition is judged; a rule on one fence in a
hundred sends messages to a file; in a second series one on every fence sends each entered and each exited, so that
every transition is handed over. The transitions that it counted, there the messages too, are compared with those that
shapely finds in the same walk.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import shapely

from benchmarks.bench import Bench, Side, Size, pairs
from benchmarks.city import stars
from benchmarks.crowd import Walk
from benchmarks.gateway import CONNECTIONS, elsewhere, post
from benchmarks.peers import tile38
from benchmarks.peers.program import AbsentError
from benchmarks.peers.recipes import match_grouped
from benchmarks.rounds import processor_s
from benchmarks.server import Server, write_site
from benchmarks.site import EACH_MOVE, RULE

if TYPE_CHECKING:
    from contextlib import ExitStack

    from benchmarks.city import City

STEPS = 2
"""So often everybody pings in one round."""
SETTINGS = "detection: {preset: instant}\nchannels: {push: {kind: file, path: messages.jsonl}}\n"
STILL_GOOD = "max_event_age: 6h\n"
"""The crowd's clock is an hour behind the server's."""


def bench(
    size: Size, keep: ExitStack, *, batch: int, fences: int, share: float = 1.0, all_told: bool = False,
    gateways: int = CONNECTIONS,
) -> Bench:  # fmt: skip
    """Requests of `batch` pings, from a share of the devices; none is in two requests that are under way at once.

    With `all_told` every transition is a message. `gateways` of them post at once, each over a connection of its own.
    """
    devices = int(share * size.devices)
    crowd = Crowd(stars(fences), devices)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    fences_file = crowd.world.geojson(tagged=1 if all_told else 100)
    site = write_site(folder / "site", fences_file, SETTINGS, (EACH_MOVE if all_told else RULE) + STILL_GOOD)
    posted = _Posted(Server(site), crowd, batch, gateways)
    keep.callback(posted.server.close)
    posted.begin()
    peers, absent = [], []
    try:
        peers.append(tile38.side(Crowd(stars(fences), devices), batch * gateways, keep))
    except AbsentError as error:
        absent.append(str(error))
        if fences in tile38.RECORDED_US:
            peers.append(tile38.recorded(fences, crowd.pings, batch * gateways))
    name, said = ("-told", ", every transition sent") if all_told else ("", "")
    return Bench(
        f"run-{fences}-{batch}{name}",
        f"nearcast run, {fences:,} fences, posts of {batch:,}, {gateways} at once{said}", "pings",
        f"{crowd.world.said}; {devices:,} devices that walk 7 m a ping",
        Side("nearcast", crowd.pings, posted.round, lambda: posted.moves(all_told)), tuple(peers), tuple(absent),
        oracle=lambda: crowd.moves + (sum(crowd.moves),) * all_told,
    )  # fmt: skip


class Crowd:
    """Everybody's next pings, and how often somebody then enters and leaves, by shapely."""

    def __init__(self, world: City, devices: int) -> None:
        self.world = world
        self.pings = STEPS * devices
        self.moves = (0, 0)
        """(entered, exited) within the newest round."""
        self._walk = Walk(world, devices)
        self._polygons = np.array(world.polygons, dtype=object)
        self._tree = shapely.STRtree(self._polygons)
        shapely.prepare(self._polygons)
        self._inside = np.empty(0, np.int64)

    def round(self) -> list[tuple[str, float, float]]:
        """(device, lat, lng) of each ping of one round, in order."""
        found, entered, left = [], 0, 0
        for _ in range(STEPS):
            self._walk.move()
            now = pairs(*match_grouped(self._tree, self._polygons, self._walk.lat, self._walk.lng))
            entered += len(np.setdiff1d(now, self._inside))
            left += len(np.setdiff1d(self._inside, now))
            self._inside = now
            found += zip(self._walk.names, self._walk.lat.tolist(), self._walk.lng.tolist(), strict=True)
        self.moves = (entered, left)
        return found


class _Posted:
    """The server, and the crowd that posts to it."""

    def __init__(self, server: Server, crowd: Crowd, batch: int, gateways: int) -> None:
        self.server, self._crowd, self._batch, self._gateways = server, crowd, batch, gateways
        self._time_ms = int(time.time() * 1000) - 3_600_000

    def begin(self) -> None:
        """Everybody agrees, and is seen for the first time: not what is measured."""
        self.server.agree([f"d{n}" for n in range(self._crowd.pings // STEPS)], self._time_ms)
        self.round()

    def round(self) -> float:
        """Post everybody's next pings; the processor time of the server until the last message has left."""
        pings = []
        for n, (device, lat, lng) in enumerate(self._crowd.round()):
            # an hour ago and on, one second a step: nobody's clock is ahead of the server's
            time_ms = self._time_ms + 1000 * (n * STEPS // self._crowd.pings)
            pings.append({"device": device, "time": time_ms, "lat": lat, "lng": lng, "accuracy": 8})
        self._time_ms += 1000 * STEPS
        bodies = [orjson.dumps(pings[n : n + self._batch]) for n in range(0, len(pings), self._batch)]
        spent, before = 0.0, self._spent()
        with elsewhere():
            asyncio.run(post(self.server.port, "/v1/pings", bodies, connections=self._gateways))
            while True:
                self.server.until_idle()
                spent += self._spent() - before
                if not self.server.pending():  # to ask is work too, and none that pings make
                    return spent
                before = self._spent()

    def moves(self, all_told: bool) -> tuple[int, ...]:
        """How many entered and left in one more round, as the server counted; and with `all_told` the messages."""
        before = self._counted()
        self.round()
        found = tuple(after - was for after, was in zip(self._counted(), before, strict=True))
        return found if all_told else found[:2]

    def _counted(self) -> tuple[int, ...]:
        moves = [self.server.metric("nearcast_transitions_total", kind=kind) for kind in ("entered", "exited")]
        return (*map(int, moves), int(self.server.metric("nearcast_deliveries_total", outcome="delivered")))

    def _spent(self) -> float:
        spent = processor_s(self.server.pid)
        if spent is None:
            raise SystemExit("the processor time of a process is not told here: this benchmark needs Linux")
        return spent
