"""Places: what a rule points at. A geofence or a beacon zone, by id, tag or group.

Owns the common face of both. Must not know their geometry or their beacons' signals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlaceKind(StrEnum):
    """What a place is made of."""

    FENCE = "fence"
    ZONE = "zone"


@dataclass(frozen=True, slots=True)
class Place:
    """A geofence or a beacon zone. `timezone` is an IANA name; `data` is the author's free data, for templates.

    `timezone` is None only where neither the author nor the position gives one; then the site's setting counts.
    `inside` is the id of the fence that a zone lies in: who is in the zone is in that too.
    """

    id: str
    kind: PlaceKind
    name: str = ""
    tags: frozenset[str] = frozenset()
    group: str | None = None
    timezone: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    inside: str | None = None


@dataclass(frozen=True, slots=True)
class PlaceRef:
    """How a rule names places: exactly one of `id`, `tag` and `group` is set."""

    id: str | None = None
    tag: str | None = None
    group: str | None = None

    def covers(self, place: Place) -> bool:
        """True if this reference means `place`.

        >>> PlaceRef(tag="shop").covers(Place("a", PlaceKind.FENCE, tags=frozenset({"shop"})))
        True
        """
        if self.id is not None:
            return place.id == self.id
        if self.tag is not None:
            return self.tag in place.tags
        return self.group is not None and place.group == self.group

    def __str__(self) -> str:
        if self.id is not None:
            return self.id
        return f"tag {self.tag}" if self.tag is not None else f"group {self.group}"
