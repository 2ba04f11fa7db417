"""Files made to run code, or to exhaust the machine, when they are opened: each refused, none run, nothing written."""

import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from model_files import (
    CONSTANTS_TABLE,
    PROGRAM,
    SAMPLES,
    WEIGHTS_TABLE,
    Toucher,
    edited,
    pt2_members,
    saved,
    touching,
    write_archive,
    write_pt2,
)
from nascc.nas.errors import CorruptCheckpoint, UnsafeCheckpoint
from nascc.runtime.errors import CorruptFile, UnsafeFile
from nascc.tools.errors import CommandError
from nascc.tools.open_model import open_model

Edit = Callable[[dict[str, Any], str], None]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that exists once hostile code has run."""
    (folder := tmp_path / "marked").mkdir()
    return folder / "marker"


def refused(path: Path, marker: Path, sentence: str, **options: Any) -> None:
    """Opening `path` must be refused as unsafe, with a way out, and run and write nothing."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(UnsafeFile, match=sentence) as caught:
        open_model(path, **options)
    assert caught.value.exit_code == 9
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_that_runs_code(legacy: bool, nested: bool, tmp_path: Path, marker: Path) -> None:
    value = {"state_dict": {"weight": torch.ones(1)}, "args": Toucher(marker)} if nested else Toucher(marker)
    torch.save(value, path := tmp_path / "model.pt", _use_new_zipfile_serialization=not legacy)
    refused(path, marker, "imports posix.mkdir.*--allow-pickle")
    refused(path, marker, "--allow-pickle", model="torch.nn:Identity")
    with pytest.raises((CommandError, CorruptFile)):
        open_model(path, allow_pickle=True)
    assert marker.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_raw_pickle_that_runs_code(protocol: int, tmp_path: Path, marker: Path) -> None:
    (path := tmp_path / "model.pkl").write_bytes(pickle.dumps(Toucher(marker), protocol=protocol))
    refused(path, marker, "imports posix.mkdir")


def test_a_pickle_whose_names_the_inspection_can_not_follow(tmp_path: Path, marker: Path) -> None:
    """Not the inspection but torch's weights_only loader is what keeps code from running."""
    hidden = b"\x80\x04\x8c\x02io\x8c\x04open\x8c\x0bcollections0\x93\x8c" + bytes([len(str(marker))])
    path = write_archive(tmp_path / "model.pt", {"data.pkl": hidden + f"{marker}".encode() + b"\x8c\x01w\x86R."})
    with pytest.raises((UnsafeFile, CorruptFile)):
        open_model(path)
    assert not marker.exists()


def expression(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"] = code


def expression_of_an_output(program: dict[str, Any], code: str) -> None:
    *_, last = program["graph_module"]["graph"]["tensor_values"].values()
    last["sizes"][0]["as_expr"]["expr_str"] = code


def guards(program: dict[str, Any], code: str) -> None:
    program["guards_code"] = [f"{code} is None"]


@pytest.mark.parametrize("edit", [expression, expression_of_an_output, guards])
def test_a_program_that_torch_evaluates(edit: Edit, tmp_path: Path, marker: Path) -> None:
    path = write_pt2(tmp_path / "model.pt2", edited(PROGRAM, lambda program: edit(program, touching(marker))))
    refused(path, marker, "not arithmetic over sizes.*--allow-pickle")
    with suppress(Exception):
        open_model(path, allow_pickle=True).module.module()(torch.ones(2, 3, 8, 8))  # type: ignore[operator]
    assert marker.exists()


def set_structure(program: dict[str, Any], key: str, tree: dict[str, Any]) -> None:
    signature = program["graph_module"]["module_call_graph"][0]["signature"]
    children = json.loads(signature[key])[1]["children_spec"]
    signature[key] = json.dumps([1, {"children_spec": children, **tree}])


def default_factory(program: dict[str, Any], module: str) -> None:
    context = {"default_factory_module": module, "default_factory_name": "list", "dict_context": ["features", "score"]}
    set_structure(program, "out_spec", {"type": "collections.defaultdict", "context": context})


def enumeration(program: dict[str, Any], module: str) -> None:
    key = {"__enum__": True, "fqn": f"{module}:list", "name": "a"}
    set_structure(program, "out_spec", {"type": "builtins.dict", "context": json.dumps([key, "score"])})


@pytest.mark.parametrize("edit", [default_factory, enumeration])
def test_a_structure_that_makes_torch_import(
    edit: Edit, tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "modules").mkdir()
    (folder / "imported_by_a_file.py").write_text(touching(marker))
    monkeypatch.syspath_prepend(folder)
    path = write_pt2(tmp_path / "model.pt2", edited(PROGRAM, lambda program: edit(program, "imported_by_a_file")))
    refused(path, marker, "not of plain containers")
    with pytest.raises(CommandError):
        open_model(path, allow_pickle=True)
    assert marker.exists()
    del sys.modules["imported_by_a_file"]


def renamed(document: Any, old: str, new: str) -> Any:
    """The JSON document with every text `old` replaced."""
    if isinstance(document, dict):
        return {new if key == old else key: renamed(value, old, new) for key, value in document.items()}
    if isinstance(document, list):
        return [renamed(item, old, new) for item in document]
    return new if document == old else document


@pytest.mark.parametrize("name", ["x", "conv2d", "p_conv_weight", "conv.weight", "scale"])
def test_names_that_would_be_written_into_code(name: str, tmp_path: Path, marker: Path) -> None:
    for code in (f"a=[{touching(marker)}]", f'a"+{touching(marker)}+"', f"a\n    {touching(marker)}"):
        tables = (PROGRAM, WEIGHTS_TABLE, CONSTANTS_TABLE)
        changed = {table: json.dumps(renamed(json.loads(pt2_members()[table]), name, code)) for table in tables}
        path = write_pt2(tmp_path / "model.pt2", {table: text.encode() for table, text in changed.items()})
        refused(path, marker, "no identifier|no plain text")


def forward_names(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = [f"x={code}"]


def keyword_names(program: dict[str, Any], code: str) -> None:
    leaf = {"type": None, "context": None, "children_spec": []}
    arguments = {"type": "builtins.tuple", "context": "null", "children_spec": []}
    keywords = {"type": "builtins.dict", "context": json.dumps([f"x={code}"]), "children_spec": [leaf]}
    set_structure(
        program, "in_spec", {"type": "builtins.tuple", "context": "null", "children_spec": [arguments, keywords]}
    )


def constant_input(program: dict[str, Any], code: str) -> None:
    program["graph_module"]["graph"]["inputs"].append({"as_string": f"' + str({code}) + '"})


def custom_object(program: dict[str, Any], _: str) -> None:
    program["graph_module"]["graph"]["custom_obj_values"] = {"obj": {"name": "obj", "class_fqn": "a.B"}}


def target(name: str) -> Edit:
    def edit(program: dict[str, Any], _: str) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = name

    return edit


@pytest.mark.parametrize(
    "edit",
    [forward_names, keyword_names, constant_input, custom_object, target("torch.os.system"), target("_operator.call")],
)
def test_other_text_that_reaches_code(edit: Edit, tmp_path: Path, marker: Path) -> None:
    path = write_pt2(tmp_path / "model.pt2", edited(PROGRAM, lambda program: edit(program, touching(marker))))
    refused(path, marker, "nothing that runs when it is loaded")


def test_sample_inputs_that_run_code(tmp_path: Path, marker: Path) -> None:
    hostile = saved(((Toucher(marker),), {}))
    path = write_pt2(tmp_path / "model.pt2", {SAMPLES: hostile})
    refused(path, marker, r"sample_inputs/model\.pt.*must load with weights_only=True.*--allow-pickle")
    open_model(path, allow_pickle=True)
    assert marker.exists()


@pytest.mark.parametrize(("table", "name"), [(WEIGHTS_TABLE, "conv.weight"), (CONSTANTS_TABLE, "scale")])
def test_pickled_tensors_that_run_code(table: str, name: str, tmp_path: Path, marker: Path) -> None:
    def pickled(document: dict[str, Any]) -> None:
        document["config"][name]["use_pickle"] = True

    changed = edited(table, pickled)
    member = f"{Path(table).parent}/{json.loads(changed[table])['config'][name]['path_name']}"
    path = write_pt2(tmp_path / "model.pt2", {**changed, member: saved(Toucher(marker))})
    refused(path, marker, "weights_only=True")
    with suppress(CommandError):
        open_model(path, allow_pickle=True)
    assert marker.exists()


def test_pickled_tensors_that_are_only_tensors(tmp_path: Path) -> None:
    def pickled(document: dict[str, Any]) -> None:
        document["config"]["scale"]["use_pickle"] = True

    path = write_pt2(
        tmp_path / "model.pt2",
        edited(CONSTANTS_TABLE, pickled) | {"data/constants/tensor_0": saved(torch.full((1,), 3.0))},
    )
    assert torch.equal(open_model(path).module.constants["scale"], torch.full((1,), 3.0))  # type: ignore[union-attr]


@pytest.mark.parametrize("prefix", ["custom_obj_", "opaque_obj_", "../../"])
def test_constants_that_torch_unpickles_by_their_name(prefix: str, tmp_path: Path, marker: Path) -> None:
    def moved(document: dict[str, Any]) -> None:
        document["config"]["scale"]["path_name"] = f"{prefix}0"

    hostile = {f"data/constants/{prefix.strip('./')}0": pickle.dumps(Toucher(marker))}
    path = write_pt2(tmp_path / "model.pt2", edited(CONSTANTS_TABLE, moved) | hostile)
    refused(path, marker, "which torch unpickles")


@pytest.mark.parametrize("member", ["data/weights/model.pt", "data/constants/model.pt"])
def test_tensors_of_older_archives_that_run_code(member: str, tmp_path: Path, marker: Path) -> None:
    refused(write_pt2(tmp_path / "model.pt2", {member: saved(Toucher(marker))}), marker, "weights_only=True")


@pytest.mark.parametrize("member", ["data/aotinductor/model/a.json", "extra/a.so", "data/aotinductor/model/w.so.1"])
def test_compiled_code(member: str, tmp_path: Path, marker: Path) -> None:
    refused(write_pt2(tmp_path / "model.pt2", {member: b"\x7fELF"}), marker, "compiled code")


def test_zip_bombs_and_paths_outside(tmp_path: Path, marker: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "bomb.pt2", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model/archive_format", b"pt2")
        file.writestr(f"model/{PROGRAM}", bytes(64 << 20))
    refused(path, marker, "zip bomb")
    refused(write_pt2(tmp_path / "model.pt2", {"../../evil": b"x"}), marker, "stay inside")


def test_a_torchscript_archive(tmp_path: Path) -> None:
    members = {"data.pkl": b"", "code/__torch__/net.py": b"", "constants.pkl": b"", "version": b"3"}
    with pytest.raises(CommandError, match=r"TorchScript.*torch\.export\.save") as caught:
        open_model(write_archive(tmp_path / "model.pt", members))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["os:system", "os.system", "torch.hub:load", "../x", "", "a b"])
def test_a_checkpoint_that_names_something_to_import(name: str, tmp_path: Path) -> None:
    header = {"schema_": "nascc.checkpoint/1", "architecture": name, "config": {}, "inputs": ["x:1x3x8x8"]}
    save_file({"w": torch.ones(1)}, path := tmp_path / "model.safetensors", {"nascc.checkpoint": json.dumps(header)})
    with pytest.raises(UnsafeCheckpoint, match="nothing was imported") as caught:
        open_model(path)
    assert caught.value.exit_code == 9


def test_a_checkpoint_of_an_unknown_architecture(tmp_path: Path) -> None:
    header = {"schema_": "nascc.checkpoint/1", "architecture": "repvgg_a1", "config": {}, "inputs": []}
    save_file({"w": torch.ones(1)}, path := tmp_path / "model.safetensors", {"nascc.checkpoint": json.dumps(header)})
    with pytest.raises(CorruptCheckpoint, match="did you mean 'repvgg_a0'") as caught:
        open_model(path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("part", [0.0, 0.1, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.9999])
def test_a_truncated_archive(part: float, tmp_path: Path) -> None:
    content = write_pt2(tmp_path / "whole.pt2").read_bytes()
    (path := tmp_path / "model.pt2").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(CorruptFile) as caught:
        open_model(path)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "changed",
    [
        {PROGRAM: b"{"},
        {PROGRAM: b"[]"},
        {PROGRAM: b"[" * 100_000},
        {PROGRAM: b"{}"},
        {PROGRAM: b'{"tensor_values": 3, "target": 3}'},
        {"models/other.json": b"{}", "models/model.json": b"{}"},
        {WEIGHTS_TABLE: b"{}"},
        {WEIGHTS_TABLE: b'{"config": {"a": {"use_pickle": 1, "path_name": "weight_0"}}}'},
        {WEIGHTS_TABLE: b'{"config": {"a": {"use_pickle": false, "path_name": "weight_0", "tensor_meta": null}}}'},
        {WEIGHTS_TABLE: b'{"config": {"a": {"use_pickle": false, "path_name": "weight_99", "tensor_meta": null}}}'},
        {"data/weights/weight_0": b""},
        {"data/weights/weight_1": b"\x00" * 3},
        {"archive_version": b"7"},
    ],
)
def test_archives_that_make_no_sense(changed: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises((CorruptFile, CommandError)) as caught:
        open_model(write_pt2(tmp_path / "model.pt2", changed))
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_a_tensor_that_claims_to_be_huge(tmp_path: Path, marker: Path) -> None:
    def huge(table: dict[str, Any]) -> None:
        table["config"]["conv.bias"]["tensor_meta"] |= {"sizes": [{"as_int": 10**12}], "strides": [{"as_int": 0}]}

    refused(write_pt2(tmp_path / "model.pt2", edited(WEIGHTS_TABLE, huge)), marker, "declares 1000000000000")


def test_a_symbol_that_makes_torch_count(tmp_path: Path, marker: Path) -> None:
    def count(program: dict[str, Any]) -> None:
        program["range_constraints"]["u99999999999"] = {"min_val": 0, "max_val": 1}

    refused(write_pt2(tmp_path / "model.pt2", edited(PROGRAM, count)), marker, "not arithmetic over sizes")
