"""The kind of a file by its content, and every way in which a file can not be read."""

import io
import pickle
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save as save_tensors

from model_files import Toucher, saved, small, write_archive, write_pt2
from nascc.nas.checkpoint import save_checkpoint
from nascc.nas.zoo import ARCHITECTURES
from nascc.runtime import archive
from nascc.runtime.errors import CorruptFile, RuntimeTargetError, UnreadableFile, UnsafeFile
from nascc.runtime.sniff import FileKind, inspect_file, sniff

CHECKPOINT = {"width": 0.1, "num_classes": 2}


def onnx_bytes() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [value])
    return onnx.helper.make_model(graph).SerializeToString()


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.zeros((1, 3, 64, 64), np.float32))
    return buffer.getvalue()


def script_bytes() -> bytes:
    """The members by which a TorchScript archive is known."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("data.pkl", "code/__torch__/net.py", "constants.pkl", "version"):
            file.writestr(f"net/{name}", b"")
    return buffer.getvalue()


def legacy_bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One whole file of every kind, all with a meaningless extension."""
    folder = tmp_path_factory.mktemp("kinds")
    state = small().state_dict()
    contents = {
        "torch.save": saved(state),
        "pickle": legacy_bytes(state),
        "safetensors": save_tensors(state),
        "onnx": onnx_bytes(),
        "npz": npz_bytes(),
        "torchscript": script_bytes(),
    }
    for name, content in contents.items():
        (folder / f"{name}.bin").write_bytes(content)
    write_pt2(folder / "pt2.bin")
    network = ARCHITECTURES["mobilenet_v2"](**CHECKPOINT)
    save_checkpoint(folder / "nascc checkpoint.bin", "mobilenet_v2", CHECKPOINT, network)
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize("kind", FileKind, ids=lambda kind: kind.value)
def test_content_decides(kind: FileKind, files: dict[str, Path]) -> None:
    assert sniff(files[kind.value]) is kind


@pytest.mark.parametrize("kind", FileKind, ids=lambda kind: kind.value)
@pytest.mark.parametrize("part", [0.03, 0.3, 0.7, 0.97, 1.0])
def test_truncated_files_are_corrupt(kind: FileKind, part: float, files: dict[str, Path], tmp_path: Path) -> None:
    content = files[kind.value].read_bytes()
    if kind is FileKind.PICKLE:  # tensors follow the pickles of the old format: torch itself misses them later
        content = content[: content.index(b"Rq", 300)]
    (path := tmp_path / "short").write_bytes(content[: min(int(len(content) * part), len(content) - 1)])
    with pytest.raises(CorruptFile, match="must"):
        sniff(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty file"),
        (b"\x00" * 100, "no known kind"),
        (b"Hello, this is a text", "no known kind"),
        (bytes(range(255, 0, -1)) * 40, "no known kind"),
        (b"PK\x03\x04 but no archive", "damaged or truncated"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "download the file itself"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (b"\x1f\x8b\x08\x00", "unpack it"),
        (b"\x80\x02}q\x00", "truncated"),
        (b"\x08\x08\x12\x04abcd\x3a\xff\x01", "ONNX"),
        (b"\x40\x00\x00\x00\x00\x00\x00\x00{}", "truncated"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{]", "JSON"),
    ],
)
def test_no_known_kind(content: bytes, sentence: str, tmp_path: Path) -> None:
    (path := tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(CorruptFile, match=sentence) as caught:
        sniff(path)
    assert caught.value.exit_code == 3


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_kind_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    (path := tmp_path_factory.getbasetemp() / "any").write_bytes(content)
    with suppress(RuntimeTargetError):
        sniff(path)


def test_paths_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, sentence in (
        (tmp_path / "missing.pt", "nothing there"),
        (tmp_path, "directory"),
        (Path("/dev/null"), "no regular file"),
        (Path("nul\0byte"), "nothing there"),
    ):
        with pytest.raises(UnreadableFile, match=sentence) as caught:
            sniff(path)
        assert caught.value.exit_code == 2
    (locked := tmp_path / "locked.pt").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError("Permission denied")))
    with pytest.raises(UnreadableFile, match="Permission denied"):
        sniff(locked)


def test_foreign_names_of_pickles(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    toucher = Toucher(tmp_path / "marker")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps({"a": toucher}, protocol=protocol))
        assert inspect_file(path).kind is FileKind.PICKLE
        assert inspect_file(path).foreign == ("posix.mkdir",)
    path.write_bytes(saved(small()))
    assert {"model_files.Small", "torch.nn.modules.conv.Conv2d"} <= set(inspect_file(path).foreign)
    path.write_bytes(legacy_bytes({"weight": torch.ones(1), "b": toucher}))
    assert inspect_file(path).foreign == ("posix.mkdir",)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert inspect_file(path).foreign == ("os.system",)
    path.write_bytes(b"\x80\x04N\x93.")
    assert inspect_file(path).foreign == ("(a name the opcodes compute)",)
    path.write_bytes(b"\x80\x02\x82\x01.")
    assert inspect_file(path).foreign == ("copyreg extension 1",)
    assert not (tmp_path / "marker").exists()


def test_what_torch_loads_as_weights_is_not_foreign(tmp_path: Path) -> None:
    tensors = [torch.zeros(2, dtype=dtype) for dtype in (torch.float16, torch.bfloat16, torch.int8, torch.bool)]
    state = {"p": torch.nn.Parameter(torch.ones(2)), "list": tensors, "size": torch.Size([1]), "t": torch.float32}
    for content in (saved(state), legacy_bytes(state)):
        (path := tmp_path / "state.pt").write_bytes(content)
        torch.load(path, weights_only=True)
        assert inspect_file(path).foreign == ()


def test_archives_without_checksums_are_whole(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(small().state_dict(), tmp_path / "state.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert sniff(tmp_path / "state.pt") is FileKind.TORCH_ZIP


def test_zip_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/data.pkl", bytes(64 << 20))
    with pytest.raises(UnsafeFile, match="zip bomb") as caught:
        sniff(path)
    assert caught.value.exit_code == 9
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(UnsafeFile, match="at most 3 members, found 4: a zip bomb"):
        sniff(write_archive(path, {str(n): b"" for n in range(4)}))


def test_members_that_overlap_are_a_bomb(tmp_path: Path) -> None:
    """Several entries of the directory that share the same bytes."""
    path = write_archive(tmp_path / "overlap.pt", {"data.pkl": bytes(4000)})
    with zipfile.ZipFile(path, "a") as file:
        first = file.infolist()[0]
        for n in range(3):
            twin = zipfile.ZipInfo(f"model/{n}")
            twin.CRC, twin.file_size, twin.compress_size = first.CRC, first.file_size, first.compress_size
            twin.header_offset = first.header_offset
            file.filelist.append(twin)
        file._didModify = True
    with pytest.raises(UnsafeFile, match="zip bomb"):
        sniff(path)


@pytest.mark.parametrize("name", ["../evil", "model/../../evil", "/etc/evil", "C:/evil", "a\\..\\evil"])
def test_paths_that_lead_outside(name: str, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "model.pt2", {"model/data.pkl": b"N.", name: b"x"}, root="")
    with pytest.raises(UnsafeFile, match="stay inside") as caught:
        sniff(path)
    assert caught.value.exit_code == 9


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "twice.pt2", "w") as file:
        file.writestr("model/archive_format", b"pt2")
        file.writestr("model/archive_format", b"pt2")
    with pytest.raises(UnsafeFile, match="more than once"):
        sniff(path)


def test_a_damaged_member(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "state.pt", {"data.pkl": b"}q\x00."})
    path.write_bytes(path.read_bytes().replace(b"}q\x00.", b"}q\x01."))
    with pytest.raises(CorruptFile, match=r"'data\.pkl' damaged"):
        sniff(path)


def test_zip_archives_of_other_things(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile, match=r"zip archive with 'word/document\.xml'"):
        sniff(write_archive(tmp_path / "text.docx", {"word/document.xml": b"", "b": b""}, root=""))


def test_sniffing_does_not_import_torch() -> None:
    code = "import sys, nascc.runtime.sniff; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
