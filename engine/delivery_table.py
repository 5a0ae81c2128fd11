"""The life of a delivery, as a table: stage and observation give the next stage, or the end.

Owns the stages, the observations and the table. Must not know queues, pauses or channels.
"""

from __future__ import annotations

from enum import StrEnum

from engine.ports import AttemptResult, DeliveryState


class Stage(StrEnum):
    """Where a delivery stands that has not ended."""

    BEHIND = "behind"  # an earlier message of the same user on the same channel has not ended
    READY = "ready"  # waits for a free place on its channel, or for the channel to be turned on
    FLYING = "flying"  # an attempt is being made
    LAST = "last"  # an attempt is being made, and it was cancelled meanwhile
    RESTING = "resting"  # pauses after an attempt


class Seen(StrEnum):
    """What may happen to a delivery."""

    FRONT = "front"  # nothing is before it any more
    BEGUN = "begun"
    OK = "ok"
    RETRY = "retry"  # it was refused for now, or its outcome is unknown and it may be repeated
    FAIL = "fail"
    GONE = "gone"
    LOST = "lost"  # its outcome is unknown and it must not be repeated
    QUIET = "quiet"  # quiet hours had begun before the attempt
    WITHDRAWN = "withdrawn"  # consent was withdrawn before the attempt
    RESTED = "rested"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: Stage and observation give the new stage, or the end. A pair that is not here is a mistake of ours.
TABLE: dict[tuple[Stage, Seen], Stage | DeliveryState] = {
    (Stage.BEHIND, Seen.FRONT): Stage.READY,
    (Stage.BEHIND, Seen.EXPIRED): DeliveryState.EXPIRED,
    (Stage.BEHIND, Seen.CANCELLED): DeliveryState.CANCELLED,
    (Stage.READY, Seen.BEGUN): Stage.FLYING,
    (Stage.READY, Seen.EXPIRED): DeliveryState.EXPIRED,
    (Stage.READY, Seen.CANCELLED): DeliveryState.CANCELLED,
    (Stage.FLYING, Seen.OK): DeliveryState.DELIVERED,
    (Stage.FLYING, Seen.RETRY): Stage.RESTING,
    (Stage.FLYING, Seen.FAIL): DeliveryState.FAILED,
    (Stage.FLYING, Seen.GONE): Stage.READY,
    (Stage.FLYING, Seen.LOST): DeliveryState.UNKNOWN,
    (Stage.FLYING, Seen.QUIET): DeliveryState.EXPIRED,
    (Stage.FLYING, Seen.WITHDRAWN): DeliveryState.WITHDRAWN,
    (Stage.FLYING, Seen.CANCELLED): Stage.LAST,
    (Stage.LAST, Seen.OK): DeliveryState.DELIVERED,
    (Stage.LAST, Seen.RETRY): DeliveryState.CANCELLED,
    (Stage.LAST, Seen.FAIL): DeliveryState.FAILED,
    (Stage.LAST, Seen.GONE): DeliveryState.CANCELLED,
    (Stage.LAST, Seen.LOST): DeliveryState.UNKNOWN,
    (Stage.LAST, Seen.QUIET): DeliveryState.CANCELLED,
    (Stage.LAST, Seen.WITHDRAWN): DeliveryState.CANCELLED,
    (Stage.LAST, Seen.CANCELLED): Stage.LAST,
    (Stage.RESTING, Seen.RESTED): Stage.READY,
    (Stage.RESTING, Seen.EXPIRED): DeliveryState.EXPIRED,
    (Stage.RESTING, Seen.CANCELLED): DeliveryState.CANCELLED,
}

#: What an attempt's result is to the table, of a delivery that may be repeated.
RESULTS = {
    AttemptResult.OK: Seen.OK,
    AttemptResult.RETRY: Seen.RETRY,
    AttemptResult.FAIL: Seen.FAIL,
    AttemptResult.GONE: Seen.GONE,
    AttemptResult.UNKNOWN: Seen.RETRY,
}
