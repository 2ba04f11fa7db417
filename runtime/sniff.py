"""Tell from its bytes what kind of file a path holds; nothing is unpickled and the extension does not count."""

import mmap
import re
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from nascc.runtime.archive import Archive, open_archive
from nascc.runtime.archive_onnx import OnnxVerdict, look_for_onnx
from nascc.runtime.archive_pickle import LEGACY_PICKLES, TORCH_LEGACY_MAGIC, foreign_globals
from nascc.runtime.archive_safetensors import CHECKPOINT_KEY, looks_like_safetensors, read_header
from nascc.runtime.errors import CorruptFile, UnreadableFile, UnsafeFile

MAX_PICKLE_BYTES = 256 << 20
KNOWN = "a .pt2 archive, a nascc checkpoint, .safetensors, a state dict saved by torch.save, ONNX or .npz"
ELSEWHERE: tuple[tuple[bytes, str], ...] = (  # how files of other kinds begin, and what to do with them
    (rb"version https://git-lfs", "a Git LFS pointer instead of the file itself; run 'git lfs pull'"),
    (rb"\s*<(!doctype|html|\?xml)", "a web page or XML; download the file itself"),
    (rb"\x89HDF\r\n", "HDF5, as Keras writes it; export the PyTorch model"),
    (rb"....TFL3", "TensorFlow Lite; export the PyTorch model"),
    (rb"....ET1\d", "an ExecuTorch program; export the PyTorch model with torch.export.save"),
    (rb"ftrt|ptrt", "a TensorRT engine; pass the model that it was built from"),
    (rb"GGUF", "GGUF weights; pass the PyTorch weights"),
    (rb"\s*[{\[]\s*\"", "JSON; pass the file that holds the weights"),
    (rb"\x1f\x8b|\xfd7zXZ|BZh|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!", "a compressed file; unpack it first"),
)


class FileKind(Enum):
    """What a file is; the value is the name users see."""

    PT2 = "pt2"
    NASCC_CHECKPOINT = "nascc checkpoint"
    SAFETENSORS = "safetensors"
    TORCHSCRIPT = "torchscript"
    TORCH_ZIP = "torch.save"
    PICKLE = "pickle"
    ONNX = "onnx"
    NPZ = "npz"


@dataclass(frozen=True)
class FileFacts:
    """The kind of a file, and the names its pickles would import beyond what plain tensors need."""

    kind: FileKind
    foreign: tuple[str, ...] = ()


def sniff(path: Path | str) -> FileKind:
    """The kind of the file. Raises UnreadableFile, CorruptFile or UnsafeFile, as `inspect_file` does."""
    return inspect_file(path).kind


def inspect_file(path: Path | str) -> FileFacts:
    """Look at the content of a file, without running any of it.

    Raises UnreadableFile (missing, no regular file, no permission), CorruptFile (empty, truncated, damaged, of no known
    kind) or UnsafeFile (a bomb, or names that lead outside).
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise UnreadableFile(_not_a_file(path))
        with path.open("rb") as file:
            return _inspect(path, file)
    except OSError as error:
        raise UnreadableFile(f"'{path}' must be readable, but: {error}") from error


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        return f"'{path}' must be a file, found a directory; pass the model file inside it"
    return f"'{path}' must be a file, found {'no regular file' if path.exists() else 'nothing there'}; check the path"


def _inspect(path: Path, file: BinaryIO) -> FileFacts:
    head = file.read(64)
    if not head:
        raise CorruptFile(f"'{path}' must hold a model, found an empty file; save or copy it again")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        with open_archive(path) as archive:
            return _inspect_zip(archive)
    if looks_like_safetensors(head, path.stat().st_size):
        checkpoint = CHECKPOINT_KEY in read_header(path).metadata
        return FileFacts(FileKind.NASCC_CHECKPOINT if checkpoint else FileKind.SAFETENSORS)
    for pattern, found in ELSEWHERE:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            raise CorruptFile(f"'{path}' must be {KNOWN}, found {found}")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _inspect_plain(path, head, content)


def _inspect_plain(path: Path, head: bytes, content: mmap.mmap) -> FileFacts:
    """Kinds that are neither zip archives nor announce themselves by a fixed beginning."""
    with memoryview(content) as view:
        verdict = look_for_onnx(view)
    if verdict is OnnxVerdict.WHOLE:
        return FileFacts(FileKind.ONNX)
    if verdict is OnnxVerdict.TRUNCATED:
        raise CorruptFile(f"'{path}' must be a whole ONNX file, found a truncated or damaged one; copy it again")
    if re.match(rb"\x80[\x02-\x05]", head):
        pickles = LEGACY_PICKLES if head.startswith(TORCH_LEGACY_MAGIC) else 1
        return FileFacts(FileKind.PICKLE, _foreign(path, content, pickles))
    with suppress(CorruptFile):  # protocols 0 and 1 announce themselves by nothing
        return FileFacts(FileKind.PICKLE, foreign_globals(BytesIO(content[: 1 << 20])))
    raise CorruptFile(f"'{path}' must be {KNOWN}, found bytes of no known kind ({head[:8].hex(' ')}); check the path")


def _inspect_zip(archive: Archive) -> FileFacts:
    members = archive.members
    if "archive_format" in archive and archive.read("archive_format") == b"pt2":
        return FileFacts(FileKind.PT2)
    if "serialized_exported_program.json" in archive:  # torch 2.1 to 2.7
        return FileFacts(FileKind.PT2)
    if "data.pkl" in archive and ("constants.pkl" in archive or any(name.startswith("code/") for name in members)):
        return FileFacts(FileKind.TORCHSCRIPT)
    if "data.pkl" in archive:
        return FileFacts(FileKind.TORCH_ZIP, _foreign(archive.path, BytesIO(_pickle_of(archive))))
    if members and all(name.endswith(".npy") for name in members):
        return FileFacts(FileKind.NPZ)
    found = ", ".join(map(repr, list(members)[:3])) or "no members"
    raise CorruptFile(f"'{archive.path}' must be {KNOWN}, found a zip archive with {found}; check the path")


def _pickle_of(archive: Archive) -> bytes:
    if archive.size("data.pkl") > MAX_PICKLE_BYTES:
        raise UnsafeFile(f"the pickle in '{archive.path}' must be at most {MAX_PICKLE_BYTES >> 20} MiB")
    return archive.read("data.pkl")


def _foreign(path: Path, stream: BytesIO | mmap.mmap, pickles: int = 1) -> tuple[str, ...]:
    try:
        return foreign_globals(stream, pickles)
    except CorruptFile as error:
        raise CorruptFile(f"'{path}': {error}; save or copy the file again") from error
