"""The process under simulation: the live loop in virtual time, with its crashes, its clock and its channels.

Owns the order of effects (fold, commit, send, record) and the points at which it dies. The engine, its frames and
snapshots, and the outbox are the real ones. Must not judge: `tests/sim/laws.py` does.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING

from engine.delivery import Outbox, Over
from engine.delivery_table import Seen
from engine.ping import columns
from engine.ports import Attempt, AttemptResult, Checkpoint, Commit, Delivery, DeliveryState, StoreError
from engine.site import Site, read_site
from engine.snapshot import restore, site_version, snapshot
from engine.step import Effects, Engine
from engine.wire import Edited, Ended, Input, Resent, decode_frame, encode_frame
from rules.decide import recheck
from tests.sim.crowd import Arrival, World
from tests.sim.journal import MemoryJournal
from tests.sim.law import hold
from tests.sim.laws import Laws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ping import Rows
    from tests.sim.town import Town

CONCURRENCY = {"push": 8, "audit": 2}
_FAR = 10**15
_HOUR_MS = 3_600_000


@dataclass
class Sites:
    """The versions of the site, each read once."""

    by_version: dict[str, Site] = field(default_factory=dict)
    towns: dict[str, Town] = field(default_factory=dict)

    def read(self, town: Town) -> Site:
        """The site of a town; a mistake in it is one of the simulation."""
        last = next(reversed(self.by_version.values()), None)
        site, mistakes = read_site(town.files(), previous=last.map if last else None)
        assert site is not None, "\n".join(map(str, mistakes))
        self.towns[site.version] = town
        return self.by_version.setdefault(site.version, site)


@dataclass
class Plant:
    """One run of a world. `told` has the line of every transition and decision, by frame."""

    world: World
    crashes: bool = True
    sites: Sites = field(default_factory=Sites)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    told: list[tuple[list[str], list[str]]] = field(default_factory=list)
    sends: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    laws: Laws = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.world.seed * 7919 + 1)
        self.true_ms = self.now_ms = self.world.arrivals[0].at_ms - 1000
        self.first = self.sites.read(self.world.town)
        self.start_ms = self.now_ms
        self.engine = Engine(self.first, self.now_ms)
        self.outbox = self._outbox()
        self.laws = Laws(self.world.town, self.sites.towns, self.now_ms)
        self.coming = deque(self.world.arrivals)
        self.again: list[tuple[int, int, Arrival]] = []
        self.ended: list[Ended] = []
        self.flights: list[tuple[int, int, Delivery, AttemptResult]] = []
        self.recorded: set[str] = set()
        self.bodies: dict[str, bytes] = {}
        self.frozen_until = self.deaf_until = 0
        self.dead_until: dict[str, int] = {}
        self.ticket = 0
        self.pending_at_start = 0
        self.journal.balance.clear()

    # -- virtual time ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let everything come in; then let the clock run until nothing is left to happen."""
        while self.coming or self.again:
            self._turn()
        self.crashes = False
        self._drain()
        self.true_ms += 10 * _HOUR_MS
        self.now_ms = max(self.now_ms, self.true_ms)
        self._step([], [])
        self._drain()
        self._balance()

    def _drain(self) -> None:
        """Let the clock run until nothing is left but the instants of rules' timers."""
        for _ in range(20_000):
            if self._next_due() >= _FAR and not self.ended:
                return
            self._turn()

    def _turn(self) -> None:
        at_ms = min(self._next_arrival(), self._next_due())
        if self.ended:
            at_ms = self.true_ms
        self.true_ms = max(self.true_ms, at_ms)
        window = self.random.choice([0, 0, 500, 2000, 5000, 20_000])
        taken = self._gather(self.true_ms + window)
        if taken:
            self.true_ms += window
        self._weather()
        if self.true_ms >= self.frozen_until:
            self.now_ms = max(self.now_ms, self.true_ms)
        self._land()
        self._start_attempts()
        due_ms = self.engine.next_due_ms()
        ticks = due_ms is not None and due_ms <= self.now_ms and self.true_ms >= self.deaf_until
        if taken or self.ended or ticks:
            self._work(taken)

    def _next_arrival(self) -> int:
        first = self.coming[0].at_ms if self.coming else _FAR
        return min(first, self.again[0][0] if self.again else _FAR)

    def _next_due(self) -> int:
        """The true instant at which the process next has something to do of itself."""
        dues = [_FAR]
        tick_ms, send_ms = self.engine.next_due_ms(), self.outbox.next_due_ms()
        if tick_ms is not None:
            dues.append(max(tick_ms, self.deaf_until, self.frozen_until))
        if send_ms is not None:
            dues.append(max(send_ms, self.frozen_until))
        if self.flights:
            dues.append(max(self.flights[0][0], self.frozen_until))
        if not (self.coming or self.again) and self._only_rules_ring(dues):
            return _FAR
        return min(dues)

    def _only_rules_ring(self, dues: list[int]) -> bool:
        """Rules' timers ring for ever: they alone do not keep a world alive."""
        return self.engine.sense.next_due_ms() is None and len(self.outbox) == 0 and not self.flights

    def _gather(self, until_ms: int) -> list[Arrival]:
        """What arrives up to an instant: new things, and what clients send again."""
        taken: list[Arrival] = []
        while self._next_arrival() <= until_ms:
            if self.again and (not self.coming or self.again[0][0] < self.coming[0].at_ms):
                taken.append(heappop(self.again)[2])
            else:
                taken.append(self.coming.popleft())
        return taken

    def _weather(self) -> None:
        """Now and then the machine's clock stands still or jumps, ticks come late, a channel is dead for a while."""
        lot = self.random.random()
        if lot < 0.0005:
            self.frozen_until = self.true_ms + self.random.randrange(1000, 60_000)
        elif lot < 0.0007:  # an hour ahead; then it stands until true time has come there
            self.now_ms = max(self.now_ms, self.true_ms + self.random.choice([_HOUR_MS, 120_000]))
        elif lot < 0.001:
            self.deaf_until = self.true_ms + self.random.randrange(1000, 1_200_000)
        elif lot < 0.002:
            self.dead_until[self.random.choice(list(CONCURRENCY))] = self.true_ms + self.random.randrange(2_400_000)

    # -- one step --------------------------------------------------------------------------------------------------

    def _work(self, taken: list[Arrival]) -> None:
        inputs, self.ended = list(self.ended), []
        ends = list(inputs)
        town = None
        rows: list[Rows] = []
        for arrival in taken:
            if arrival.rows is not None:
                rows.append(arrival.rows)
                continue
            if rows:
                inputs.append(columns(rows))
                rows = []
            if arrival.input is not None:
                inputs.append(arrival.input)
            elif arrival.town is not None:
                town = arrival.town
                site = self.sites.read(town)
                self.engine.prepare(site)
                inputs.append(Edited(site.version, dict(site.files)))
        if rows:
            inputs.append(columns(rows))
        inputs += self._resends()
        if not self._step(inputs, ends):
            for arrival in taken:  # nobody was answered: the clients come again
                self._come_again(arrival)
        elif town is not None:
            self.outbox.reload(CONCURRENCY)
        if self._dies(0.001):
            self._die(self.random.choice(["in the middle of a checkpoint", "between steps"]))
        elif self.random.random() < 0.02:
            self.journal.save_checkpoint(Checkpoint(len(self.journal.stored), self.now_ms, snapshot(self.engine)))

    def _come_again(self, arrival: Arrival) -> None:
        self.ticket += 1
        later = self.true_ms + self.random.randrange(1, 60_000)
        heappush(self.again, (later, self.ticket, arrival))

    def _resends(self) -> list[Input]:
        if self.random.random() > 0.02:
            return []
        running = self.engine.site.rules.running
        again = (DeliveryState.FAILED, DeliveryState.EXPIRED)
        failed = [d for d in self.journal.deliveries.values() if d.state in again and d.rule in running]
        if not failed:
            return []
        d = self.random.choice(failed)
        ttl_ms = max(1, d.expires_ms - d.created_ms)
        return [Resent(d.key, d.decision, d.user, d.rule, list(d.tags), d.place, d.test, ttl_ms)]

    def _step(self, inputs: list[Input], ends: Sequence[Input]) -> bool:
        """Fold, commit, send. False when it was never committed."""
        if self._dies(0.001):
            self._die("before the step")
            return False
        effects = self.engine.step(inputs, self.now_ms)
        if self._dies(0.001):
            self._die("after the step, before the commit")
            return False
        frame = encode_frame(self.now_ms, inputs)
        edited = None if effects.edited is None else (effects.edited.version, effects.edited.files)
        commit = Commit(
            len(self.journal.stored) + 1, self.now_ms, frame, effects.decisions, effects.deliveries, effects.endings,
            effects.resent, tuple(effects.erased), edited,
        )  # fmt: skip
        self.journal.refuses = self._dies(0.001)
        try:
            self.journal.commit(commit)
        except StoreError:
            self.deaths["the store refused a commit"] += 1
            self.ended = [item for item in ends if isinstance(item, Ended)]
            self.engine = self._recovered()
            return False
        self.told.append(lines(effects))
        self.laws.see(decode_frame(frame).inputs, effects, self.now_ms)
        if self._dies(0.001):
            self._die("after the commit, before the sends")
            return True
        self._send(effects)
        return True

    def _send(self, effects: Effects) -> None:
        stopped = {e.key: None for e in effects.endings if e.state is DeliveryState.CANCELLED}
        for key in stopped:
            self.outbox.cancel([key], self.now_ms)
            if key in self.outbox:
                self.recorded.add(key)
        for made in effects.deliveries:
            known = self.bodies.setdefault(made.key, made.body)
            hold(known == made.body, "one key has one body", made.key)
            if made.key not in stopped:
                self._add(made)
        for key, _ in effects.resent:
            found = self.journal.deliveries.get(key)
            if found is not None and found.state is DeliveryState.PENDING:
                self._add(found)

    def _add(self, delivery: Delivery) -> None:
        over = self.outbox.add(delivery, self.now_ms)
        if over is not None:
            self._over(over)

    # -- attempts --------------------------------------------------------------------------------------------------

    def _start_attempts(self) -> None:
        due = self.outbox.due(self.now_ms)
        for over in due.overs:
            self._over(over)
        for start in due.starts:
            delivery = start.delivery
            if delivery.key not in self.outbox:
                continue
            if delivery.at_most_once:
                self.journal.open_attempts([(delivery.key, start.number)])
            verdict = self._may_go(delivery)
            if verdict != "ok":
                seen = Seen.QUIET if verdict == "quiet_hours" else Seen.WITHDRAWN
                self._over(self.outbox.hold_back(delivery.key, seen, self.now_ms))
                continue
            self._attempt(delivery)
            if self._dies(0.002):
                self._die("after a send, before its outcome is journaled")
                return

    def _may_go(self, delivery: Delivery) -> str:
        site = self.engine.site
        rule = site.rules.rule(delivery.rule)
        user = self.engine.people.users.get(delivery.user)
        if rule is None or user is None:
            return "withdrawn"
        place = site.places.get(delivery.place) if delivery.place is not None else None
        return recheck(rule, user, self.now_ms, place=place, ruleset=site.rules)

    def _attempt(self, delivery: Delivery) -> None:
        """The other side sees a request: it must be one that may be made."""
        stored = self.journal.deliveries.get(delivery.key)
        hold(stored is not None, "nothing is sent that is not on disk", delivery)
        assert stored is not None
        hold(stored.state is DeliveryState.PENDING, "no attempt after a recorded end", stored)
        hold(stored.body == delivery.body, "one key has one body", delivery.key)
        hold(delivery.user in self.laws.people, "nothing goes to who was erased", delivery)
        person = self.laws.people[delivery.user]
        hold(person.consent.get("marketing") is True, "nothing is sent without consent", delivery, person)
        rule = self.laws.book.rules.get(delivery.rule)
        hold(rule is not None, "nothing is sent for a rule that does not run", delivery)
        assert rule is not None
        quiet = self.laws.book.is_quiet(rule, delivery.place, person, self.now_ms)
        hold(not quiet, "nothing is sent in quiet hours", delivery, person)
        hold(self.now_ms < delivery.expires_ms, "nothing is sent after its ttl", delivery, self.now_ms)
        self.sends[delivery.key] += 1
        if delivery.at_most_once:
            hold(stored.attempt_open, "an at-most-once attempt is recorded before it is made", stored)
        result = self._answer(delivery)
        self.ticket += 1
        lands_ms = self.now_ms + int(self.random.expovariate(1 / 700)) + 20
        heappush(self.flights, (lands_ms, self.ticket, delivery, result))

    def _answer(self, delivery: Delivery) -> AttemptResult:
        if self.dead_until.get(delivery.channel, 0) > self.true_ms:
            return self.random.choice([AttemptResult.RETRY, AttemptResult.UNKNOWN])
        lot = self.random.random()
        for result, share in _ANSWERS:
            if lot < share:
                return result
            lot -= share
        return AttemptResult.OK

    def _land(self) -> None:
        while self.flights and self.flights[0][0] <= self.now_ms:
            _, _, delivery, result = heappop(self.flights)
            self._over(self.outbox.result(delivery.key, Attempt(result), self.now_ms))

    def _over(self, over: Over | None) -> None:
        if over is None:
            return
        key, ending, delivery = over.ending.key, over.ending, over.delivery
        if key in self.recorded:
            self.recorded.remove(key)
            return
        self.ended.append(
            Ended(key, delivery.decision, delivery.user, ending.state.value, ending.detail, ending.attempts)
        )

    def _outbox(self) -> Outbox:
        return Outbox(CONCURRENCY, chance=self.random.random)

    # -- death and recovery ----------------------------------------------------------------------------------------

    def _dies(self, chance: float) -> bool:
        return self.crashes and self.random.random() < chance

    def _die(self, where: str) -> None:
        """The process is gone, with all that it had not written down; after a while it starts again."""
        self.deaths[where] += 1
        self._balance()
        self.true_ms += self.random.choice([100, 5_000, 60_000, 1_500_000])
        self.now_ms = max(self.now_ms, self.true_ms)
        self.ended, self.flights = [], []
        self.recorded.clear()
        self.engine = self._recovered()
        self.outbox = self._outbox()
        for delivery in self.journal.pending():
            self._add(delivery)

    def _recovered(self) -> Engine:
        """Restore the last checkpoint and fold what follows: it must tell what was told before."""
        point = self.journal.checkpoint()
        if point is None:
            engine, seq = Engine(self.first, self.start_ms), 0
        else:
            engine, seq = restore(point.state, self.sites.by_version[site_version(point.state)]), point.seq
        return fold(self, engine, seq)

    def _balance(self) -> None:
        """Pending at start + deliveries + resent = endings + pending."""
        seen, pending = self.journal.balance, len(self.journal.pending())
        left = self.pending_at_start + seen["deliveries"] + seen["resent"]
        hold(left == seen["endings"] + pending, "deliveries balance", seen, self.pending_at_start, pending)
        self.pending_at_start = pending
        self.journal.balance.clear()


_ANSWERS = (
    (AttemptResult.RETRY, 0.06),
    (AttemptResult.UNKNOWN, 0.04),
    (AttemptResult.FAIL, 0.05),
    (AttemptResult.GONE, 0.0005),
)


def fold(plant: Plant, engine: Engine, seq: int) -> Engine:
    """Fold the journal after frame `seq`; every frame must tell what it told the first time."""
    for stored in plant.journal.frames(seq):
        frame = decode_frame(stored.data)
        for item in frame.inputs:
            if isinstance(item, Edited):
                engine.prepare(plant.sites.by_version[item.version])
        found = lines(engine.step(frame.inputs, frame.now_ms))
        hold(found == plant.told[stored.seq - 1], "folding again tells the same", stored.seq,
             *difference(found, plant.told[stored.seq - 1]))  # fmt: skip
    return engine


def lines(effects: Effects) -> tuple[list[str], list[str]]:
    """A step's transitions and decisions, each as one line."""
    told = [f"{t.id} {t.user} {t.time_ms} {t.cause} {t.accuracy_m} {t.mocked}" for t in effects.transitions]
    decided = [f"{d.key} {d.reason.value} {d.time_ms} {d.clause} {d.rule_version}" for d in effects.decisions]
    return told, decided


def difference(one: tuple[list[str], list[str]], other: tuple[list[str], list[str]]) -> list[str]:
    """The lines that are in one and not in the other."""
    found = []
    for a, b in zip(one, other, strict=True):
        found += [f"now {line}" for line in a if line not in b] + [f"before {line}" for line in b if line not in a]
    return found
