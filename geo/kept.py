"""Shapes and their index as plain arrays, by name, so that they can be kept outside of the process, and back.

Owns which arrays those are, and that nothing is lost: the index that comes back gives the same answers, and is edited
as the one that went. Must not know where they are kept, nor whether they are still good: they bear no version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geo.arrays import FloatArray
from geo.columns import Columns, Filled
from geo.index import FenceIndex, Version
from geo.record import Cells
from geo.shape import Area, Circle, Corridor, Shape, chains_of

Arrays = Mapping[str, NDArray[Any]]

#: Most of what is kept: these need not be copied out of a file before the index can be asked. See `FenceIndex.settle`.
CELLS = frozenset({"table", "slots", "arena"})

_AREA, _CIRCLE, _CORRIDOR = 0, 1, 2


def arrays_of_shapes(shapes: Sequence[Shape]) -> dict[str, NDArray[Any]]:
    """The arrays of some shapes.

    >>> shapes_of(arrays_of_shapes([Circle(35.69, 139.7, 50.0)]))
    [Circle(lat_deg=35.69, lng_deg=139.7, radius_m=50.0)]
    """
    chains = [chain for shape in shapes for chain in chains_of(shape)]
    return {
        "kinds": np.array([_kind(shape) for shape in shapes], np.int8),
        "numbers": np.array([_numbers(shape) for shape in shapes], np.float64).reshape(-1, 3),
        "parts": np.array([len(part) for shape in shapes for part in _parts(shape)], np.int64),
        "part_counts": np.array([len(_parts(shape)) for shape in shapes], np.int64),
        "chain_ends": np.cumsum([len(chain) for chain in chains], dtype=np.int64),
        "positions": np.concatenate(chains) if chains else np.empty((0, 2)),
    }


def shapes_of(arrays: Arrays) -> list[Shape]:
    """The shapes of `arrays_of_shapes`, to the last bit."""
    positions: FloatArray = arrays["positions"]
    ends = arrays["chain_ends"].tolist()
    chains = iter([positions[first:last] for first, last in zip([0, *ends], ends, strict=False)])
    parts = iter([tuple(next(chains) for _ in range(count)) for count in arrays["parts"].tolist()])
    found: list[Shape] = []
    for kind, count, (lat, lng, size_m) in zip(
        arrays["kinds"].tolist(), arrays["part_counts"].tolist(), arrays["numbers"].tolist(), strict=True
    ):
        if kind == _CIRCLE:
            found.append(Circle(lat, lng, size_m))
        elif kind == _CORRIDOR:
            found.append(Corridor(next(parts), size_m))
        else:
            found.append(Area(tuple(next(parts) for _ in range(count))))
    return found


def _kind(shape: Shape) -> int:
    return _AREA if isinstance(shape, Area) else _CIRCLE if isinstance(shape, Circle) else _CORRIDOR


def _numbers(shape: Shape) -> tuple[float, float, float]:
    if isinstance(shape, Circle):
        return shape.lat_deg, shape.lng_deg, shape.radius_m
    return 0.0, 0.0, shape.buffer_m if isinstance(shape, Corridor) else 0.0


def _parts(shape: Shape) -> Sequence[Sequence[FloatArray]]:
    """The polygons of an area, the lines of a corridor together; none of a circle."""
    if isinstance(shape, Area):
        return shape.polygons
    return (shape.lines,) if isinstance(shape, Corridor) else ()


def arrays_of_index(index: FenceIndex) -> dict[str, NDArray[Any]]:
    """The arrays of an index, without the room that they have for more."""
    version = index.version
    filled = version.filled
    filled_to = {"edges": filled.edges, "sketch": filled.edges, "boxes": filled.boxes}
    columns = {name: array[: filled_to.get(name, filled.fences)] for name, array in version.columns._asdict().items()}
    return (
        columns
        | {
            "filled": np.array([filled.fences, filled.edges, filled.boxes, version.finest, version.built], np.int64),
            "resolutions": np.array(version.resolutions, np.int64),
            "painted_at": version.painted_at,
            "row": version.row,
        }
        | dict(zip(("table", "slots", "arena"), version.cells.filled(), strict=True))
    )


def index_of(arrays: Arrays) -> FenceIndex:
    """The index of `arrays_of_index`. It is as fast if `arena` starts with a line of the processor's cache."""
    fences, edges, boxes, finest, built = arrays["filled"].tolist()
    return FenceIndex(
        Version(
            columns=Columns(**{name: arrays[name] for name in Columns._fields}),
            filled=Filled(fences, edges, boxes),
            cells=Cells.holding(arrays["table"], arrays["slots"], arrays["arena"]),
            finest=finest,
            resolutions=tuple(arrays["resolutions"].tolist()),
            painted_at=arrays["painted_at"],
            row=arrays["row"],
            built=built,
        )
    )
