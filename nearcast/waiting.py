"""What waits for its step: requests on their way, and their inputs once they are taken.

Owns how they become the inputs of one step and of its frame. Must not know when a step is, nor what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.intake import Unavailable
from engine.pings import located, with_own_names
from engine.wire import Happened, Input, Located, UserChanged

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from engine.pings import Pings


@dataclass(slots=True)
class Waiting:
    """One request on its way: either located pings, or other inputs. Nobody waits for what has no `done`."""

    pings: Pings | None = None
    inputs: Sequence[Input] = ()
    wait: bool = False
    received_ms: float = 0.0
    done: asyncio.Future[Any] | None = None


def size_of(waiting: Waiting) -> int:
    """How many rows or other inputs it brings."""
    return len(waiting.inputs) if waiting.pings is None else len(waiting.pings)


def is_event(item: Input) -> bool:
    """Whether it has an id by which a repeat is known."""
    return isinstance(item, Happened) or (isinstance(item, UserChanged) and item.id != "")


def inputs_of(taken: Sequence[Waiting]) -> list[Input]:
    """The inputs of what was taken, in order; located requests that follow each other share their columns."""
    inputs: list[Input] = []
    run: list[Pings] = []
    for waiting in taken:
        if waiting.pings is not None:
            run.append(waiting.pings)
            continue
        if run:
            inputs.append(located(run))
            run = []
        inputs.extend(waiting.inputs)
    if run:
        inputs.append(located(run))
    return inputs


def as_kept(inputs: Sequence[Input]) -> list[Input]:
    """The inputs as the journal has them: a frame brings the names of its rows along, and no others."""
    return [with_own_names(item) if isinstance(item, Located) else item for item in inputs]


def resolve(waiting: Waiting, value: object) -> None:
    """Answer it, if anybody still waits."""
    if waiting.done is not None and not waiting.done.done():
        waiting.done.set_result(value)


def refuse(waiting: Sequence[Waiting]) -> None:
    """Have all of these come again."""
    for entry in waiting:
        if entry.done is not None and not entry.done.done():
            entry.done.set_exception(Unavailable(1))
