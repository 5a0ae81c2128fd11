"""How presence is judged at a place: the settings of `detection`, with their defaults.

Owns the meaning and the defaults. Must not know how they are written in a file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """The settings of one fence. Durations in milliseconds, `max_accuracy_m` in metres.

    `instant` (from `preset: instant`) ignores the accuracy: in on a fix that is in, out on one that is out.
    """

    enter_fixes: int = 2
    exit_fixes: int = 2
    exit_after_ms: int = 30_000
    max_accuracy_m: float = 200.0
    silence_ms: int = 30 * 60_000
    max_silence_ms: int = 10 * 60_000
    instant: bool = False

    @property
    def usable_m(self) -> float:
        """The worst accuracy of a fix that counts here; without bound where the accuracy is ignored."""
        return float("inf") if self.instant else self.max_accuracy_m


INSTANT = Detection(enter_fixes=1, exit_fixes=1, instant=True)
