"""Points to cells, many at a time: loops that the compiler turns into vector code.

Owns the first stages of a lookup. Must not know the index. About 8 ns a point in all, where one `latLngToCell` of the
C library takes 450.
"""

from __future__ import annotations

from geo.arrays import FloatArray, IntArray
from geo.entry import place_of
from geo.face import face_of, in_face, to_cell, to_plane
from geo.kernel import kernel
from geo.memory import poke
from geo.trig import sincos_deg
from geo.window import ROW


@kernel
def unit_vectors(lat: FloatArray, lng: FloatArray, x: FloatArray, y: FloatArray, z: FloatArray) -> None:
    """Fill x, y, z with the unit vectors of points in degrees."""
    for k in range(lat.shape[0]):
        sin_lat, cos_lat = sincos_deg(lat[k])
        sin_lng, cos_lng = sincos_deg(lng[k])
        x[k] = cos_lat * cos_lng
        y[k] = cos_lat * sin_lng
        z[k] = sin_lat


@kernel
def planes(
    x: FloatArray, y: FloatArray, z: FloatArray, count: int, face: int, faces: IntArray, u: FloatArray, v: FloatArray
) -> int:
    """Fill the face of each unit vector, and its place in the face's plane.

    The face of the point before is tried first, `face` for the first point; returns the last one.
    """
    outside = 0
    for k in range(count):
        outside += not in_face(face, x[k], y[k], z[k])
    if outside == 0:
        # nearly always; and all with the same numbers is vector code
        for k in range(count):
            faces[k] = face
            u[k], v[k] = to_plane(face, x[k], y[k], z[k])
        return face
    for k in range(count):
        if not in_face(face, x[k], y[k], z[k]):
            face = face_of(x[k], y[k], z[k])
        faces[k] = face
    for k in range(count):
        u[k], v[k] = to_plane(faces[k], x[k], y[k], z[k])
    return face


@kernel
def lattice_cells(
    lattice: FloatArray, u: FloatArray, v: FloatArray, count: int, i: FloatArray, j: FloatArray, places: IntArray
) -> None:
    """Fill i, j (whole numbers) of the cell of each point of a plane, and where in it the point is, as `place_of`."""
    a, b, c, d = lattice[0], lattice[1], lattice[2], lattice[3]
    for k in range(count):
        cell_i, cell_j = to_cell(a, b, c, d, u[k], v[k])
        i[k], j[k] = cell_i, cell_j
        x, y = a * u[k] + b * v[k] - (cell_i - 0.5 * cell_j), c * u[k] + d * v[k] - cell_j * ROW
        poke(places, k, place_of(x, y))
