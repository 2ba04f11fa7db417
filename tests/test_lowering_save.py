"""Models as bytes and as files, with the weights beside them where one file can not hold them."""

from pathlib import Path

import onnx
import pytest
from onnx import ModelProto
from torch import nn

from lowering_kit import capture, values, write
from nascc.compiler.lowering import to_bytes, write_onnx


@pytest.fixture(scope="module")
def model() -> ModelProto:
    module = nn.Sequential(nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.ReLU(), nn.Conv2d(40, 4, 3, groups=2))
    return write(capture(module, [values(1, 3, 8, 8)]))


def test_bytes_hold_the_model(model: ModelProto) -> None:
    assert onnx.load_from_string(to_bytes(model)) == model
    assert to_bytes(model) == to_bytes(model)


def test_one_file(model: ModelProto, tmp_path: Path) -> None:
    assert write_onnx(model, tmp_path / "m.onnx") == (tmp_path / "m.onnx",)
    assert onnx.load(tmp_path / "m.onnx") == model
    assert (tmp_path / "m.onnx").read_bytes() == to_bytes(model)


def test_external_data(model: ModelProto, tmp_path: Path) -> None:
    files = write_onnx(model, tmp_path / "m.onnx", limit=2000)
    assert files == (tmp_path / "m.onnx", tmp_path / "m.onnx.data")
    slim = onnx.load(files[0], load_external_data=False)
    outside = {t.name for t in slim.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert outside == {t.name for t in model.graph.initializer if len(t.raw_data) >= 1024}
    onnx.checker.check_model(str(files[0]), full_check=True)
    assert {t.name: t.raw_data for t in onnx.load(files[0]).graph.initializer} == {
        t.name: t.raw_data for t in model.graph.initializer
    }


def test_external_data_under_another_name(model: ModelProto, tmp_path: Path) -> None:
    temporary, data = write_onnx(model, tmp_path / "m.tmp", data_name="final.onnx.data", limit=2000)
    temporary.rename(tmp_path / "final.onnx")
    data.rename(tmp_path / "final.onnx.data")
    onnx.checker.check_model(str(tmp_path / "final.onnx"), full_check=True)


def test_writing_leaves_the_model_alone(model: ModelProto, tmp_path: Path) -> None:
    before = to_bytes(model)
    write_onnx(model, tmp_path / "m.onnx", limit=2000)
    assert to_bytes(model) == before


def test_tensors_without_raw_bytes_are_kept(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "c"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])],
        [onnx.helper.make_tensor("c", onnx.TensorProto.FLOAT, [2], [1.0, 2.0])],
    )
    foreign = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    write_onnx(foreign, tmp_path / "f.onnx")
    assert onnx.load(tmp_path / "f.onnx") == foreign
