"""A site's folder on disk, as the bytes of its files.

Owns which files belong to a site, how large they may be, and what is said of files that are lying about. Must not know
what is in them. Reads the disk; writes nothing.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nearcast.fault import InputFaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The one file at the top of a site.
SETTINGS_FILE = "nearcast.yaml"
#: The folders of a site, and how the files in them end.
SUFFIXES = {"fences": ".geojson", "beacons": ".yaml", "rules": ".yaml", "templates": ".yaml"}
#: No single map is larger; what is comes from a mistake, and would fill the memory. YAML is read far more slowly.
FENCES_BYTES_MAX = 256 << 20
YAML_BYTES_MAX = 8 << 20
#: A site is kept whole in its store, where one value holds at most 1 GB.
SITE_BYTES_MAX = 512 << 20

#: What may lie in a site and is nobody's mistake.
_NOT_OURS = frozenset({"var", "recordings"})
#: At the top of a site, files that end so look as if somebody meant them to be read.
_LIKE_OURS = (".yaml", ".yml", ".json", ".geojson")
#: What helps where the disk refuses; else it is a matter of rights.
_MENDS = {
    errno.ENOENT: "it links to nothing: mend the link or take it out",
    errno.ELOOP: "it links to itself: mend the link or take it out",
    errno.ENOTDIR: "make it a folder and put its files there",
    errno.EMFILE: "raise the limit of this process (`ulimit -n`, `LimitNOFILE`)",
    errno.ENFILE: "the machine has no more, look at what else runs there",
}

#: Of each file its name, when it was changed, and its size.
Fingerprint = tuple[tuple[str, int, int], ...]


class FolderError(InputFaultError):
    """The folder cannot be read as a site: missing, not a folder, unreadable, too large. One line, with the mend."""


def read_folder(path: Path | str, *, warn: Callable[[str], None] | None = None) -> dict[str, bytes]:
    """The files of the site at `path`: paths inside it (with `/`), sorted, and their bytes.

    `var/` and hidden files are left alone. `warn` gets one line for each other file that will not be read. Raises
    `FolderError`.
    """
    root = Path(path)
    if not root.exists():
        raise FolderError(f"there is no site at `{root}`, name the folder that holds `{SETTINGS_FILE}` and `rules/`")
    if not root.is_dir():
        raise FolderError(f"a site is a folder, got the file `{root}`, name the folder it stands in")
    files: dict[str, bytes] = {}
    total = 0
    try:
        for name, file in sorted(_members(root, warn or (lambda _: None))):
            files[name] = _read(file, name)
            total += len(files[name])
            if total > SITE_BYTES_MAX:
                raise FolderError(
                    f"the site at `{root}` is larger than {SITE_BYTES_MAX >> 20} MiB, take out what is not used"
                )
    except OSError as error:
        wrong, mend = error.strerror or str(error), _MENDS.get(error.errno or 0, "mend its rights")
        raise FolderError(f"the site at `{root}` cannot be read: {wrong}, got `{error.filename}`, {mend}") from error
    return files


def fingerprint(path: Path) -> Fingerprint:
    """What tells that a file of the site changed: names, times, sizes. A folder that is gone has none.

    Other files in the folder do not count: a channel may write there, message after message.
    """
    seen = []
    try:
        for name, file in sorted(_members(path, lambda _: None)):
            stat = os.stat(file)
            seen.append((name, stat.st_mtime_ns, stat.st_size))
    except OSError:  # somebody is changing it: the next look sees what became of it
        return ()
    return tuple(seen)


def _members(root: Path, warn: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """(name in the site, path) of each file that is read: as texts, of which a thousand rules need no `Path`."""
    for entry in _entries(root):
        name = entry.name
        if name.startswith(".") or name in _NOT_OURS:
            continue
        if name in SUFFIXES:  # a file of that name is no folder, and the error of whoever lists it
            yield from _members_of(entry, warn)
        elif entry.is_dir():
            warn(f"{name}/ is no folder of a site and is not read, known are {_listed(SUFFIXES)}")
        elif name == SETTINGS_FILE:
            yield name, entry.path
        elif name.endswith(_LIKE_OURS):
            warn(f"{name} is not read, the settings are in `{SETTINGS_FILE}`, all else in {_listed(SUFFIXES)}")


def _members_of(folder: os.DirEntry[str], warn: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    suffix = SUFFIXES[folder.name]
    for entry in _entries(folder):
        name = f"{folder.name}/{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            warn(f"{name}/ is not read, move its files up into {folder.name}/")
        elif entry.name.endswith(suffix):
            yield name, entry.path
        else:
            warn(f"{name} is not read, let its name end in `{suffix}`")


def _entries(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _read(path: str, name: str) -> bytes:
    limit = FENCES_BYTES_MAX if name.endswith(".geojson") else YAML_BYTES_MAX
    with open(path, "rb") as stream:
        size = min(os.fstat(stream.fileno()).st_size, limit)
        data = stream.read(size + 1)  # to ask for as much as it may have would take that memory first, file by file
        if len(data) > size:
            data += stream.read(limit + 1 - len(data))
    if len(data) > limit:
        raise FolderError(f"{name} is larger than {limit >> 20} MiB, split it into several files")
    return data


def _listed(names: dict[str, str]) -> str:
    return ", ".join(f"`{name}/`" for name in names)
