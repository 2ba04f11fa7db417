"""Opening ONNX files: what is missing, damaged or outside is told, and weights are not read."""

from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from nascc.runtime.errors import CorruptFile, RuntimeTargetError, UnreadableFile, UnsafeFile
from nascc.runtime.onnx_file import read_onnx


def model() -> ModelProto:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"], "add")], "g", [value], [result], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def external(found: ModelProto, **place: str) -> ModelProto:
    (tensor,) = found.graph.initializer
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.extend(onnx.StringStringEntryProto(key=k, value=v) for k, v in place.items())
    return found


def test_a_file_is_read(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "a.onnx")
    assert read_onnx(tmp_path / "a.onnx") == model()


def test_external_weights_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    onnx.save_model(external(model(), location="w.bin", length="16"), str(tmp_path / "a.onnx"))
    assert read_onnx(tmp_path / "a.onnx").graph.initializer[0].data_location == TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("place", "error", "reason"),
    [
        ({"location": "gone.bin"}, UnreadableFile, "found no 'gone.bin' for tensor 'w'"),
        ({"location": "w.bin", "offset": "8", "length": "16"}, CorruptFile, "must hold 24 bytes"),
        ({"location": "w.bin", "length": "many"}, CorruptFile, "a number as offset and length"),
        ({"location": "../w.bin"}, UnsafeFile, "must lie in the model's folder"),
        ({"location": "/etc/passwd"}, UnsafeFile, "must lie in the model's folder"),
    ],
)
def test_external_weights_that_are_not_there(
    tmp_path: Path, place: dict[str, str], error: type[RuntimeTargetError], reason: str
) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "a.onnx").write_bytes(external(model(), **place).SerializeToString())
    with pytest.raises(error, match=reason):
        read_onnx(tmp_path / "a.onnx")


def test_weights_of_constants_in_branches_are_looked_for_too(tmp_path: Path) -> None:
    inner = external(model(), location="gone.bin").graph.initializer[0]
    branch = helper.make_graph([helper.make_node("Constant", [], ["z"], value=inner)], "b", [], [])
    found = model()
    found.graph.node.append(helper.make_node("If", ["x"], ["q"], then_branch=branch, else_branch=branch))
    (tmp_path / "a.onnx").write_bytes(found.SerializeToString())
    with pytest.raises(UnreadableFile, match="gone.bin"):
        read_onnx(tmp_path / "a.onnx")


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    empty = model()
    del empty.graph.node[:]
    whole = model().SerializeToString()
    contents = {"truncated": whole[:-20], "text": b"hello there", "nothing": b"", "empty": empty.SerializeToString()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorruptFile):
            read_onnx(tmp_path / name)
    with pytest.raises(UnreadableFile):
        read_onnx(tmp_path / "missing.onnx")
