"""What answers rest on: the margins of entries, the layout of records, and kernels stamped with all sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numba import njit

import geo.kernel
import geo.lanes
from geo.arrays import FloatArray, IntArray
from geo.columns import columns_of
from geo.entry import JOIN_MAX, ROUNDED, SCALE, _clip_and_join, _in_hexagon, in_entry, new_scratch, place_of
from geo.face import CORNER, from_plane, lattice
from geo.geodesic import direct, inverse
from geo.index import FenceIndex
from geo.lanes import COORDINATE_MAX, MANY, look_at_few, look_at_many
from geo.lookup import match
from geo.paint import paint
from geo.pieces import BEND_MAX, SAGITTA_MAX, pieces_of
from geo.raster import MARGIN, touch_all
from geo.record import AT_ONCE, FAR, FENCE, FENCE_BITS, LINE, STEP, entry_size
from geo.shape import Circle, Shape
from geo.tiles import TILE_CELLS
from geo.trig import lat_lng, unit_vector
from geo.window import ROW, in_lattice, window_of
from tests.geo.twin import WGS84, sphere_points, star


def test_no_edge_is_further_from_its_border_than_the_hexagon_it_is_clipped_to_is_from_the_cell() -> None:
    assert JOIN_MAX + max(BEND_MAX, SAGITTA_MAX) + 2.0 * ROUNDED / SCALE < 0.95 * MARGIN


def test_the_way_along_the_ground_ends_where_proj_says() -> None:
    rng = np.random.default_rng(1)
    lat, lng = sphere_points(rng, 500)
    azimuth, length_m = rng.uniform(-180.0, 180.0, 500), 10.0 ** rng.uniform(-2.0, 6.69, 500)
    there = WGS84.fwd(lng, lat, azimuth, length_m)
    for k in range(500):
        to_lat, to_lng = direct(lat[k], lng[k], azimuth[k], length_m[k])
        assert inverse(to_lat, to_lng, there[1][k], there[0][k]) < 1e-3


@pytest.mark.parametrize("resolution", [3, 5, 8, 12])
def test_the_border_is_within_the_bend_of_its_pieces(resolution: int) -> None:
    """Sampled on true borders: long edges and rims, in the middle of faces and at their corners."""
    rng = np.random.default_rng(resolution)
    for face in (0, 7, 19):
        for share in (0.0, 0.6, 0.98):
            lat, lng = lat_lng(*from_plane(face, share * CORNER, 0.003))
            size_m = 40.0 * 4e6 / np.sqrt(7.0) ** resolution / 20.0
            if abs(lat) + size_m / 60_000.0 > 89.0 or abs(lng) + size_m / 1_000.0 > 179.0:
                continue
            shapes: list[Shape] = [star(rng, lat, lng, size_m, 5), Circle(lat, lng, size_m)]
            columns = columns_of(shapes)
            for f in range(2):
                w = window_of(columns, f, face, lattice(resolution))
                ends, bends, count = pieces_of(columns, f, w)
                assert count > 0
                for x, y in _on_border(shapes[f], rng):
                    px, py = in_lattice(w, *unit_vector(y, x))
                    gap = _gap(ends[:count], px, py) - bends[:count]
                    inside = w.inland or np.hypot(px, py) * w.unit < 0.5 * CORNER
                    assert gap.min() < 1e-6 or not inside


def _on_border(shape: Shape, rng: np.random.Generator) -> list[tuple[float, float]]:
    if isinstance(shape, Circle):
        turn = rng.uniform(0.0, 360.0, 60)
        full = np.full(60, shape.lng_deg), np.full(60, shape.lat_deg)
        lng, lat, _ = WGS84.fwd(*full, turn, np.full(60, shape.radius_m))
        return list(zip(lng.tolist(), lat.tolist(), strict=True))
    ring = shape.polygons[0][0]  # type: ignore[union-attr]
    a, b = ring[:-1], ring[1:]
    points = (a + rng.random((12, 1, 1)) * (b - a)).reshape(-1, 2)
    return [(float(x), float(y)) for x, y in points]


def _gap(ends: FloatArray, x: float, y: float) -> FloatArray:
    """How far a point is from each piece."""
    a, d = ends[:, :2], ends[:, 2:] - ends[:, :2]
    off = np.array([x, y]) - a
    t = np.clip((off * d).sum(axis=1) / np.maximum((d * d).sum(axis=1), 1e-300), 0.0, 1.0)
    return np.asarray(np.hypot(*(off - t[:, None] * d).T))


def test_records_hold_what_was_painted_and_lie_in_as_few_lines_as_they_can() -> None:
    rng = np.random.default_rng(3)
    shapes: list[Shape] = [star(rng, 35.69 + k * 2e-4, 139.7, 90.0 + 9.0 * k, 9) for k in range(40)]
    index = FenceIndex.build(shapes)
    cells, columns = index.version.cells, index.version.columns
    painted = paint(columns, np.arange(40, dtype=np.int32), np.zeros(40, np.int8), lattice(12).reshape(1, 4))
    assert len(painted.tile_keys) == cells.written.tiles
    seen = 0
    for s in range(cells.written.tiles * TILE_CELLS):
        a, b = painted.starts[s : s + 2]
        slot = int(cells.slots[s])
        assert (a == b) == (slot == 0)
        if slot == 0:
            continue
        start, more = (slot >> 3) * STEP, slot & 7
        whole, border, places, end = _read(cells.arena, start)
        is_whole = painted.entry[a:b] < 0
        assert whole == painted.fence[a:b][is_whole].tolist()
        assert border == painted.fence[a:b][~is_whole].tolist()
        assert places == np.searchsorted(whole, border).tolist()
        assert cells.arena.ctypes.data % 64 == 0
        read_to = max(end, start + 2 + len(whole) + AT_ONCE)
        assert more == min(7, (read_to - 1) // LINE - start // LINE) == (read_to - start - 1) // LINE
        seen += 1
    assert seen > 1_000


def _read(arena: IntArray, start: int) -> tuple[list[int], list[int], list[int], int]:
    """(whole fences, border fences, their places, the word after) of the record."""
    at = start + 2 + int(arena[start])
    whole, border, places = arena[start + 2 : at].tolist(), [], []
    for _ in range(arena[start + 1]):
        border.append(int(arena[at]) & FENCE)
        places.append(int(arena[at]) >> FENCE_BITS & FAR)
        at += entry_size(arena, at)
    return whole, border, places, at


def test_a_corner_on_the_very_rim_of_the_hexagon_is_left_once_or_not_at_all() -> None:
    """Two pieces that meet there once could disagree whether it is inside, one rounding decided."""
    rng = np.random.default_rng(6)
    half = 0.5 + MARGIN
    links, scratch = np.array([[1, 0], [-1, 1]], np.int32), new_scratch(2)
    for _ in range(3_000):
        turn, along = np.pi / 3.0 * rng.integers(0, 6), rng.uniform(-0.28, 0.28)
        x, y = half * np.cos(turn) - along * np.sin(turn), half * np.sin(turn) + along * np.cos(turn)
        x, y = x + rng.integers(-2, 3) * math.ulp(x), y + rng.integers(-2, 3) * math.ulp(y)
        inner, outer = rng.uniform(-0.3, 0.3, (2, 2)), 1.5 * np.array([np.cos(turn), np.sin(turn)])
        for ends, odd in ((outer, True), (inner[1], False)):
            pieces = np.array([[*inner[0], x, y], [x, y, *ends]])
            for both in (pieces, pieces[::-1][:, [2, 3, 0, 1]].copy()):
                _, exits, _ = _clip_and_join(0, 0, 0, links, both, np.zeros(2), scratch, JOIN_MAX)
                assert exits % 2 == odd


def test_a_piece_that_ends_in_the_hexagon_that_it_is_clipped_to_is_linked_to_its_cell() -> None:
    """Once those in the very corners of the hexagon were not: the border seemed to end there, and some points to be
    out."""
    rng = np.random.default_rng(8)
    columns = columns_of([Circle(35.69, 139.7, 300.0)])
    w = max((window_of(columns, 0, face, lattice(12)) for face in range(20)), key=lambda w: w.width)
    assert w.width > 8 < w.height
    found, near_corner = 0, (0.5 + MARGIN) * 2.0 / math.sqrt(3.0)
    for _ in range(2_000):
        i, j = w.i0 + int(rng.integers(3, w.width - 3)), w.j0 + int(rng.integers(3, w.height - 3))
        cx, cy = i - 0.5 * j, j * ROW
        turn = np.pi / 3.0 * (int(rng.integers(0, 6)) + 0.5)
        x, y = near_corner * np.array([np.cos(turn), np.sin(turn)]) + rng.normal(0.0, 0.003, 2)
        ends = np.array([[*rng.uniform(-2.0, 2.0, 2), x, y]]) + np.array([cx, cy, cx, cy])
        state, heads = np.zeros(w.width * w.height, np.int8), np.full(w.width * w.height, -1, np.int32)
        touch_all(w, ends, np.zeros(1), 1, state, heads)
        if _in_hexagon(ends[0, 2] - cx, ends[0, 3] - cy):
            found += 1
            assert heads[(j - w.j0) * w.width + i - w.i0] >= 0
    assert found > 300


@pytest.mark.parametrize("edges", [0, 1, 2, 3, 4, 5, 8, 9, 16, 31])
@pytest.mark.parametrize("reach", [3, 100, 14_700, COORDINATE_MAX])
def test_edges_looked_at_side_by_side_say_what_each_of_them_says(edges: int, reach: int) -> None:
    """Small ones too, where points lie on edges, level with their ends, and just as far as the tolerance."""
    rng = np.random.default_rng(edges)
    found = {True: 0, False: 0}
    for _ in range(300):
        halves = rng.integers(-reach, reach + 1, (edges, 4)).astype(np.int16)
        ways = halves[:, 2:] - halves[:, :2]
        told = [np.ascontiguousarray(pairs).reshape(-1).view(np.int32) for pairs in (halves[:, :2], ways)]
        words = np.concatenate([rng.integers(-(2**31), 2**31, 16).astype(np.int32), *told])
        odd, west, tolerance = int(rng.integers(2)), int(rng.integers(2)), int(reach ** rng.uniform(0.0, 0.8)) - 1
        x, y = rng.integers(-reach, reach + 1, 2).tolist()
        if edges and rng.random() < 0.5:
            # near an edge
            a, b = halves[0, :2].astype(float), halves[0, 2:].astype(float)
            near = a + rng.random() * (b - a) + rng.normal(0.0, tolerance, 2)
            x, y = np.clip(np.rint(near), -reach, reach).astype(int).tolist()
        meta = odd | west << 1 | edges << 2 | tolerance << 16
        inside, unsure = in_entry(words, len(words), meta, (x & 0xFFFF) | y << 16)
        wanted, wanted_unsure, is_on_edge = _by_each_edge(halves.tolist(), odd, west, tolerance, x, y)
        assert unsure == wanted_unsure
        assert inside == wanted or is_on_edge
        assert unsure or not is_on_edge
        found[unsure] += 1
    assert found[False] > 20 or edges > 5
    assert found[True] > 20 or not edges


def test_edges_are_looked_at_alike_where_products_have_no_instruction_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(5)
    pairs = rng.integers(-16_000, 16_000, (200, 2, MANY, 2)).astype(np.int16)
    pairs[:, 1] -= pairs[:, 0]
    words = pairs.reshape(-1).view(np.int32)
    metas, places = rng.integers(0, 200 << 16, 200), rng.integers(-14_000, 14_000, (200, 2)).astype(np.int16)
    args = words, metas, places.reshape(-1).view(np.int32)
    compiled: Any = njit
    here = compiled(_by_few_and_by_many)
    found = here(*args)
    monkeypatch.setattr(geo.lanes, "ONE_INSTRUCTION", {})
    elsewhere = compiled(_by_few_and_by_many)
    assert elsewhere(*args).tolist() == found.tolist()
    assert "pmadd.wd" not in "".join(elsewhere.inspect_llvm().values())
    assert len(set(found[:, 1].tolist())) > 4


def _by_few_and_by_many(words: IntArray, metas: IntArray, places: IntArray) -> IntArray:
    found = np.empty((metas.shape[0], 2), np.int64)
    for k in range(metas.shape[0]):
        at = 2 * MANY * k
        found[k, 0] = look_at_few(words, at, at + MANY, 1, metas[k], places[k])
        found[k, 1] = look_at_many(words, at, at + MANY, 2, metas[k], places[k])
    return found


def _by_each_edge(
    edges: list[list[int]], odd: int, west: int, tolerance: int, x: int, y: int
) -> tuple[bool, bool, bool]:
    """(inside, unsure, on an edge), in whole numbers of Python."""
    inside, unsure, is_on_edge = odd == 1, False, False
    for x0, y0, x1, y1 in edges:
        dx, dy = x1 - x0, y1 - y0
        side = dx * (y - y0) - dy * (x - x0)
        beyond = max(min(x0, x1) - x, x - max(x0, x1), min(y0, y1) - y, y - max(y0, y1))
        unsure |= abs(side) <= tolerance * (abs(dx) + abs(dy)) and beyond <= tolerance
        if (y0 > y) != (y1 > y):
            is_on_edge |= side == 0
            is_east = (side > 0) == (y1 > y0)
            inside ^= is_east != bool(west)
    return inside, unsure, is_on_edge


def test_a_place_of_a_cell_is_rounded_to_the_nearest_step() -> None:
    for x, y in np.random.default_rng(3).uniform(-0.58, 0.58, (1_000, 2)).tolist():
        word = np.array([place_of(x, y)]).astype(np.int32)
        low, high = word.view(np.int16).tolist()
        assert abs(low - x * SCALE) <= 0.5 + 1e-6
        assert abs(high - y * SCALE) <= 0.5 + 1e-6


def test_few_points_have_to_ask_the_fence_itself() -> None:
    """Else answers would still be right, but slow."""
    rng = np.random.default_rng(4)
    shapes: list[Shape] = [star(rng, 35.69, 139.7, 400.0, 40), Circle(35.69, 139.7, 300.0)]
    columns = columns_of(shapes)
    painted = paint(columns, np.arange(2, dtype=np.int32), np.zeros(2, np.int8), lattice(12).reshape(1, 4))
    asked, of = 0, 0
    for at in painted.entry[painted.entry >= 0].tolist():
        end = at + entry_size(painted.words, at)
        for x, y in rng.uniform(-0.4, 0.4, (20, 2)):
            asked += in_entry(painted.words, end, int(painted.words[at + 1]), place_of(x, y))[1]
            of += 1
    assert of > 5_000
    assert asked < 0.03 * of


def test_a_cached_kernel_is_stale_when_any_source_changed() -> None:
    """Once a predicate was changed, and the index went on with the old one, out of the cache of an unchanged file."""
    file = match._cache._cache_file  # type: ignore[attr-defined]
    assert file._source_stamp == geo.kernel.STAMP == geo.kernel._stamp_of_sources()


def test_edits_find_room_after_a_build_and_after_the_cells_were_moved() -> None:
    """Without any an edit would copy the records of all fences."""
    shapes = [Circle(35.69 + 0.001 * n, 139.7, 200.0) for n in range(50)]
    index = FenceIndex.build(shapes)
    for settled in (False, True):
        if settled:
            index.settle()
        before = index.version.cells.arena
        index = index.edited(np.array([-1, *range(1, 50)]), [Circle(35.69, 139.701, 200.0)])
        assert index.version.cells.arena is before
