"""Open a zip archive only after its directory has shown that reading it is safe."""

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nascc.runtime.errors import CorruptFile, UnsafeFile

MAX_MEMBERS = 65_536
MAX_RATIO = 100  # unpacked bytes per byte of the file; torch does not compress at all
HARMLESS_BYTES = 16 << 20  # an archive that unpacks to no more than this is no bomb
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Archive:
    """The members of one checked zip archive, named without the folder that all of them share (`root`)."""

    path: Path
    root: str
    members: Mapping[str, zipfile.ZipInfo]
    _file: zipfile.ZipFile

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def size(self, name: str) -> int:
        """Unpacked bytes of a member. Raises CorruptFile when there is none of this name."""
        if name not in self.members:
            raise CorruptFile(f"'{self.path}' must hold a member '{name}', found none; save the file again")
        return self.members[name].file_size

    def read(self, name: str) -> bytes:
        """The content of a member. Raises CorruptFile when it is missing or damaged."""
        self.size(name)
        try:
            return self._file.read(self.members[name])
        except DAMAGED as error:
            raise CorruptFile(f"'{self.path}' must be whole, found member '{name}' damaged: {error}") from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Read the directory of a zip archive and check it.

    Raises CorruptFile when the archive is damaged or truncated, UnsafeFile when it is a bomb or names paths outside.
    """
    try:
        file = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise CorruptFile(
            f"'{path}' must be a whole zip archive, found a damaged or truncated one ({error}); copy or save it again"
        ) from error
    with file:
        if file.infolist() and min(info.header_offset for info in file.infolist()) > 0:
            raise CorruptFile(
                f"'{path}' must be a whole zip archive, found only the directory of one inside it: "
                "truncated; copy or save it again"
            )
        infos = [info for info in file.infolist() if not info.is_dir()]
        _check_names(path, [info.filename for info in infos])
        _check_sizes(path, infos)
        root = _shared_folder(infos)
        yield Archive(path, root, {_checkable(info).filename[len(root) :]: info for info in infos}, file)


def _check_names(path: Path, names: list[str]) -> None:
    if len(names) > MAX_MEMBERS:
        raise UnsafeFile(f"'{path}' must hold at most {MAX_MEMBERS} members, found {len(names)}: a zip bomb")
    outside = [name for name in names if ".." in re.split(r"[/\\]", name) or re.match(r"[/\\]|\w:", name)]
    if outside:
        raise UnsafeFile(f"members of '{path}' must stay inside the archive, found {outside[0]!r}; do not unpack it")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnsafeFile(f"members of '{path}' must have different names, found {twice!r} more than once")


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    size = path.stat().st_size
    unpacked = sum(info.file_size for info in infos)
    if unpacked > max(HARMLESS_BYTES, MAX_RATIO * size) or sum(info.compress_size for info in infos) > size:
        raise UnsafeFile(
            f"'{path}' must unpack to at most {MAX_RATIO} times its {size} bytes, "
            f"declares {unpacked} bytes: a zip bomb; get the file from where it was made"
        )
    if locked := [info.filename for info in infos if info.flag_bits & 1]:
        raise CorruptFile(f"'{path}' must not be encrypted, found {locked[0]!r} encrypted; save it without a password")


def _shared_folder(infos: list[zipfile.ZipInfo]) -> str:
    """'model/' when every member lies under model/, else ''."""
    folders = {info.filename.partition("/")[0] if "/" in info.filename else "" for info in infos}
    return f"{folder}/" if len(folders) == 1 and (folder := folders.pop()) else ""


def _checkable(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Torch can be told to leave checksums out (`set_crc32_options`); it writes 0 then, which must not be compared."""
    if info.CRC == 0:
        info.CRC = None  # type: ignore[assignment]
    return info
