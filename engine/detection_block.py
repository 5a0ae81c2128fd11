"""The `detection` block of the settings and of a fence, as it is written.

Owns its keys, their limits, and how a fence's block lies over the site's. Must not know presence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from engine.detection import Detection
from rules.scalars import Distance, Duration, Whole, Word
from rules.shapes import Fields, Key, Record

FIXES_MAX: Final = 100
#: These say how accuracy counts, which `preset: instant` ignores.
_COUNTING: Final = ("enter_fixes", "exit_fixes", "max_accuracy")


@dataclass(frozen=True, slots=True)
class DetectionBlock:
    """What one block says; None where it says nothing."""

    instant: bool = False
    enter_fixes: int | None = None
    exit_fixes: int | None = None
    exit_after_ms: int | None = None
    max_accuracy_m: float | None = None
    silence_ms: int | None = None
    max_silence_ms: int | None = None

    def over(self, base: Detection) -> Detection:
        """The settings of a fence with this block in a site with `base`.

        A block that counts fixes, or bounds the accuracy, leaves a preset of the site.

        >>> DetectionBlock(enter_fixes=3).over(Detection()).enter_fixes
        3
        """
        counting = (self.enter_fixes, self.exit_fixes, self.max_accuracy_m)
        if self.instant:
            base = replace(base, enter_fixes=1, exit_fixes=1, instant=True)
        elif base.instant and any(value is not None for value in counting):
            plain = Detection()
            base = replace(base, enter_fixes=plain.enter_fixes, exit_fixes=plain.exit_fixes, instant=False)
        said = {
            name: value for name in self.__slots__ if name != "instant" and (value := getattr(self, name)) is not None
        }
        return replace(base, **said) if said else base


def _build(record: Record) -> DetectionBlock:
    instant = record.get("preset") == "instant"
    for name in _COUNTING if instant else ():
        if record.has(name):
            record.wrong(name, "has no meaning beside `preset: instant`", "take one of the two out")
    return DetectionBlock(
        instant=instant,
        enter_fixes=record.get("enter_fixes"),
        exit_fixes=record.get("exit_fixes"),
        exit_after_ms=record.get("exit_after"),
        max_accuracy_m=record.get("max_accuracy"),
        silence_ms=record.get("silence"),
        max_silence_ms=record.get("max_silence"),
    )


DETECTION: Final = Fields(
    "detection",
    {
        "preset": Key(Word("instant"), "`instant`: one fix is enough either way, whatever its accuracy"),
        "enter_fixes": Key(
            Whole(1, FIXES_MAX), "enters on the n-th fix in a row that is in; at once on one that is surely in (2)"
        ),
        "exit_fixes": Key(Whole(1, FIXES_MAX), "exits on the n-th fix in a row that is surely out (2)"),
        "exit_after": Key(Duration("30s"), "or so long after the first fix of such a row, if none broke it (30s)"),
        "max_accuracy": Key(Distance("200m", least=1), "a worse fix neither counts nor breaks a row (200m)"),
        "silence": Key(Duration("30m"), "a device not seen for so long exits (30m)"),
        "max_silence": Key(
            Duration("10m"), "`dwelled` waits for the next fix if the last one is older than this (10m)"
        ),
    },
    _build,
    doc="How presence is judged.",
)
