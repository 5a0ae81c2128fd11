"""The time zone of a position.

Owns the question only; the borders come with tzfpy (simplified: near a border its answer may be the neighbour's).
"""

from __future__ import annotations

import tzfpy


def timezone_at(lat_deg: float, lng_deg: float) -> str | None:
    """The IANA name of the zone at a point in degrees, or None where there is none.

    >>> timezone_at(35.69, 139.7)
    'Asia/Tokyo'
    """
    return tzfpy.get_tz(lng_deg, lat_deg) or None
