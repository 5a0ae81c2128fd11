"""The icosahedron that H3 lays round the earth: its 20 faces, and the hexagon lattice on each.

Owns the way from the unit sphere to (face, i, j) and back. Must not know fences. A face is looked at in its gnomonic
plane, where great circles are straight and a cell is a regular hexagon; there, one step between neighbouring cells has
length 1 after scaling by the resolution. H3 reads latitude and longitude as spherical coordinates, and so does this.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import FloatArray
from geo.kernel import kernel

CENTRE_LAT_LNG = (
    (0.803582649718989942, 1.248397419617396099), (1.307747883455638156, 2.536945009877921159),
    (1.054751253523952054, -1.347517358900396623), (0.600191595538186799, -0.450603909469755746),
    (0.491715428198773866, 0.401988202911306943), (0.172745327415618701, 1.678146885280433686),
    (0.605929321571350690, 2.953923329812411617), (0.427370518328979641, -1.888876200336285401),
    (-0.079066118549212831, -0.733429513380867741), (-0.230961644455383637, 0.506495587332349035),
    (0.079066118549212831, 2.408163140208925497), (0.230961644455383637, -2.635097066257444203),
    (-0.172745327415618701, -1.463445768309359553), (-0.605929321571350690, -0.187669323777381622),
    (-0.427370518328979641, 1.252716453253507838), (-0.600191595538186799, 2.690988744120037492),
    (-0.491715428198773866, -2.739604450678486295), (-0.803582649718989942, -1.893195233972397139),
    (-1.307747883455638156, -0.604647643711872080), (-1.054751253523952054, 1.794075294689396615),
)  # fmt: skip
"""The middle of each face, in radians: H3's orientation of the icosahedron."""

AXIS_AZIMUTH = (
    5.619958268523939882, 5.760339081714187279, 0.780213654393430055, 0.430469363979999913, 6.130269123335111400,
    2.692877706530642877, 2.982963003477243874, 3.532912002790141181, 3.494305004259568154, 3.003214169499538391,
    5.930472956509811562, 0.138378484090254847, 0.448714947059150361, 0.158629650112549365, 5.891865957979238535,
    2.711123289609793325, 3.294508837434268316, 3.804819692245439833, 3.664438879055192436, 2.361378999196363184,
)  # fmt: skip
"""The azimuth, in radians from north, of each face's i axis at even resolutions."""

UNIT = 0.38196601125010500003
"""The step of resolution 0 in the gnomonic plane of the unit sphere."""

TURN = 0.333473172251832115336090755351601070065900389
"""Radians by which the lattice of the odd resolutions is turned: asin(sqrt(3 / 28))."""

CORNER = math.tan(math.acos(math.sqrt((5.0 + 2.0 * math.sqrt(5.0)) / 15.0)))
"""How far the corners of a face are from its middle in the plane: 0.7639, an arc of 37.4 degrees."""


def _frames() -> FloatArray:
    """[20, 3, 3]: for each face the plane's x and y directions and its middle, as unit vectors."""
    frames = np.empty((20, 3, 3))
    for f, ((lat, lng), azimuth) in enumerate(zip(CENTRE_LAT_LNG, AXIS_AZIMUTH, strict=True)):
        north = np.array([-math.sin(lat) * math.cos(lng), -math.sin(lat) * math.sin(lng), math.cos(lat)])
        east = np.array([-math.sin(lng), math.cos(lng), 0.0])
        frames[f, 0] = math.cos(azimuth) * north + math.sin(azimuth) * east
        frames[f, 1] = math.sin(azimuth) * north - math.cos(azimuth) * east
        frames[f, 2] = [math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat)]
    return frames


def _walls(frames: FloatArray) -> FloatArray:
    """[20, 3, 3]: for each face the unit normals, pointing inwards, of the planes that part it from its neighbours."""
    middles = frames[:, 2]
    walls = np.empty((20, 3, 3))
    for f in range(20):
        near = np.argsort(-(middles @ middles[f]))[1:4]
        normals = middles[f] - middles[near]
        walls[f] = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return walls


FRAMES = _frames()
WALLS = _walls(FRAMES)


def lattice(resolution: int) -> FloatArray:
    """[4]: the row-major matrix that takes the gnomonic plane to the lattice of `resolution` (0 to 15)."""
    scale = math.sqrt(7.0) ** resolution / UNIT
    turn = TURN if resolution % 2 else 0.0
    return scale * np.array([math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)])


@kernel
def in_face(face: int, x: float, y: float, z: float) -> bool:
    """True if the unit vector lies in `face`, its edges included."""
    w = WALLS[face]
    return bool(
        (w[0, 0] * x + w[0, 1] * y + w[0, 2] * z >= 0.0)
        & (w[1, 0] * x + w[1, 1] * y + w[1, 2] * z >= 0.0)
        & (w[2, 0] * x + w[2, 1] * y + w[2, 2] * z >= 0.0)
    )


@kernel
def wall_gap(face: int, x: float, y: float, z: float) -> float:
    """The sine of the angle from the unit vector to the nearest wall of `face`; negative outside."""
    w = WALLS[face]
    return float(
        min(
            w[0, 0] * x + w[0, 1] * y + w[0, 2] * z,
            w[1, 0] * x + w[1, 1] * y + w[1, 2] * z,
            w[2, 0] * x + w[2, 1] * y + w[2, 2] * z,
        )
    )


@kernel
def face_of(x: float, y: float, z: float) -> int:
    """The face whose middle is nearest to the unit vector."""
    best, at = -2.0, 0
    for f in range(20):
        d = FRAMES[f, 2, 0] * x + FRAMES[f, 2, 1] * y + FRAMES[f, 2, 2] * z
        if d > best:
            best, at = d, f
    return at


@kernel
def to_plane(face: int, x: float, y: float, z: float) -> tuple[float, float]:
    """The gnomonic image of a vector in the plane of `face`; it must be less than 90 degrees from its middle."""
    m = FRAMES[face]
    d = 1.0 / (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z)
    return (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z) * d, (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * d


@kernel
def from_plane(face: int, u: float, v: float) -> tuple[float, float, float]:
    """The unit vector of a point of the plane of `face`."""
    m = FRAMES[face]
    s = 1.0 / math.sqrt(1.0 + u * u + v * v)
    x = (m[2, 0] + u * m[0, 0] + v * m[1, 0]) * s
    y = (m[2, 1] + u * m[0, 1] + v * m[1, 1]) * s
    z = (m[2, 2] + u * m[0, 2] + v * m[1, 2]) * s
    return x, y, z


@kernel
def to_cell(a: float, b: float, c: float, d: float, u: float, v: float) -> tuple[float, float]:
    """(i, j), whole numbers, of the cell at (u, v) of the plane; (a, b, c, d) is the resolution's `lattice`.

    The centre of (i, j) is (i - j / 2, j sqrt(3) / 2): rounding in three axes that add up to 0, mending the worst.
    Without branches, as `sincos_deg`.
    """
    x, y = a * u + b * v, c * u + d * v
    p = x - y * (1.0 / math.sqrt(3.0))
    q = y * (2.0 / math.sqrt(3.0))
    r = -p - q
    rp, rq, rr = np.floor(p + 0.5), np.floor(q + 0.5), np.floor(r + 0.5)
    dp, dq, dr = abs(rp - p), abs(rq - q), abs(rr - r)
    p_worst = (dp > dq) & (dp > dr)
    q_worst = (dq > dr) & (not p_worst)
    q_new = -rp - rr if q_worst else rq
    return -rr if p_worst else rp + q_new, q_new


@kernel
def cell_centre(a: float, b: float, c: float, d: float, i: int, j: int) -> tuple[float, float]:
    """(u, v) of the middle of a cell in the plane: the inverse of `to_cell`."""
    x, y = i - 0.5 * j, j * (0.5 * math.sqrt(3.0))
    s = 1.0 / (a * d - b * c)
    return (d * x - b * y) * s, (a * y - c * x) * s
