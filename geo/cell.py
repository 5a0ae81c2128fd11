"""H3 cells of points, for people and for debugging.

Owns the ids. Must not know the index, which never makes one: it works on (face, i, j), see `face`.
"""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.face import face_of, lattice, to_cell, to_plane
from geo.kernel import maker
from geo.trig import unit_vector


def h3_cell(lat_deg: float, lng_deg: float, resolution: int) -> str:
    """The H3 cell of a point in degrees, as people write it; `resolution` 0 to 15.

    >>> h3_cell(35.690921, 139.700258, 9)
    '892f5a3758fffff'
    """
    return str(h3.int_to_str(h3.latlng_to_cell(lat_deg, lng_deg, resolution)))


def cells_of(lat_deg: FloatArray, lng_deg: FloatArray, resolution: int) -> IntArray:
    """int64[n, 3]: the (face, i, j) of each point, in degrees, on the lattice of `resolution`."""
    return np.asarray(
        _cells(
            lattice(resolution),
            np.ascontiguousarray(lat_deg, np.float64),
            np.ascontiguousarray(lng_deg, np.float64),
        )
    )


@maker
def _cells(lattice: FloatArray, lat: FloatArray, lng: FloatArray) -> IntArray:
    out = np.empty((lat.shape[0], 3), np.int64)
    for k in range(lat.shape[0]):
        x, y, z = unit_vector(lat[k], lng[k])
        face = face_of(x, y, z)
        u, v = to_plane(face, x, y, z)
        i, j = to_cell(lattice[0], lattice[1], lattice[2], lattice[3], u, v)
        out[k, 0], out[k, 1], out[k, 2] = face, int(i), int(j)
    return out
