"""Runners: what they accept, what they return, and how they fail."""

from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner, TensorSpec
from nascc.runtime.runners.onnx import OnnxRunner, failed_node
from nascc.runtime.runners.renamed import RenamedRunner
from nascc.runtime.runners.torch import TorchRunner, to_array, to_tensor

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
X = np.array([[1, 2, 3], [-4, 5, 6]], np.float32)


def onnx_model(*, baked: bool = False, elem: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """y = relu(x @ w), s = x + x; `baked` reshapes to a batch of 2."""
    weight = numpy_helper.from_array(WEIGHT.astype(helper.tensor_dtype_to_np_dtype(elem)), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m/MatMul"], name="m/MatMul")]
    initializers = [weight]
    if baked:
        initializers.append(numpy_helper.from_array(np.array([2, 4]), "shape"))
        nodes.append(helper.make_node("Reshape", ["m/MatMul", "shape"], ["r"], name="m/Reshape"))
    nodes.append(helper.make_node("Relu", ["r" if baked else "m/MatMul"], ["y"], name="act/Relu"))
    nodes.append(helper.make_node("Add", ["x", "x"], ["s"], name="Add"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", elem, ["N", 3])],
        [helper.make_tensor_value_info("y", elem, ["N", 4]), helper.make_tensor_value_info("s", elem, ["N", 3])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def expected() -> dict[str, Array]:
    return {"y": np.maximum(X @ WEIGHT, 0), "s": X + X}


def assert_equal(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("form", ["proto", "bytes", "path", "str"])
def test_onnx_models_come_in_every_form(form: str, tmp_path: Path) -> None:
    proto, path = onnx_model(), tmp_path / "net.onnx"
    onnx.save(proto, path)
    model = {"proto": proto, "bytes": proto.SerializeToString(), "path": path, "str": str(path)}[form]
    with OnnxRunner(model) as runner:
        assert_equal(runner.run({"x": X}), expected())
        assert runner.inputs == (TensorSpec("x", ("N", 3), np.dtype(np.float32)),)
        assert [spec.name for spec in runner.outputs] == ["y", "s"]


def test_external_data_beside_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(onnx_model(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").exists()
    for options in ({}, {"expose": ["m/MatMul"]}):
        with OnnxRunner(path, **options) as runner:  # type: ignore[arg-type]
            np.testing.assert_array_equal(runner.run({"x": X})["y"], expected()["y"])


def test_a_model_above_the_limit_of_protobuf_runs_through_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nascc.runtime.runners.onnx._PROTOBUF_LIMIT_BYTES", 10)
    runner = OnnxRunner(onnx_model())
    with runner:
        assert runner._folder is not None
        folder = Path(runner._folder.name)
        assert_equal(runner.run({"x": X}), expected())
    assert not folder.exists()


def test_values_inside_are_exposed() -> None:
    proto = onnx_model()
    with OnnxRunner(proto, expose=["m/MatMul", "y"]) as runner:
        found = runner.run({"x": X})
    assert list(found) == ["y", "s", "m/MatMul"]
    np.testing.assert_array_equal(found["m/MatMul"], X @ WEIGHT)
    assert [output.name for output in proto.graph.output] == ["y", "s"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("optimize", [True, False])
def test_options_keep_the_result_and_runs_repeat(threads: int, optimize: bool) -> None:
    with OnnxRunner(onnx_model(), threads=threads, optimize=optimize) as runner:
        first, second = runner.run({"x": X}), runner.run({"x": X})
    assert_equal(first, expected())
    assert_equal(second, expected())


def test_half_precision_keeps_its_dtype() -> None:
    with OnnxRunner(onnx_model(elem=TensorProto.FLOAT16)) as runner:
        assert runner.run({"x": X.astype(np.float16)})["y"].dtype == np.float16


@pytest.mark.parametrize(
    ("inputs", "reasons"),
    [
        ({}, ["input 'x' is missing"]),
        ({"x": X, "z": X}, ["'z' is no input, inputs are ['x']"]),
        ({"x": X.astype(np.float64)}, ["dtype of input 'x' must be float32, got float64"]),
        ({"x": X[:, :2]}, ["shape of input 'x' must be [N, 3], got [2, 2]"]),
        ({"x": X[0]}, ["shape of input 'x' must be [N, 3], got [3]"]),
        ({"x": np.zeros((2, 2)), "q": X}, ["dtype", "shape", "'q' is no input"]),
    ],
)
def test_inputs_that_do_not_fit_are_all_named(inputs: dict[str, Array], reasons: list[str]) -> None:
    with OnnxRunner(onnx_model()) as runner, pytest.raises(RunnerFailed) as caught:
        runner.run(inputs)
    assert all(reason in str(caught.value) for reason in reasons)


def test_a_failure_while_running_names_the_node() -> None:
    with OnnxRunner(onnx_model(baked=True)) as runner:
        assert runner.run({"x": X})["y"].shape == (2, 4)
        with pytest.raises(RunnerFailed, match="onnxruntime must run the model, but") as caught:
            runner.run({"x": X[:1]})
    assert failed_node(str(caught.value)) == "m/Reshape"
    assert failed_node("no such thing") is None
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("model", [b"", b"garbage" * 10, "/nowhere/net.onnx"])
def test_models_that_do_not_load(model: bytes | str) -> None:
    with pytest.raises(RunnerFailed, match="onnxruntime must load the model, but"), OnnxRunner(model):
        pass


def test_a_runner_runs_only_while_it_is_active() -> None:
    runner = OnnxRunner(onnx_model())
    with pytest.raises(RunnerFailed, match="'with' statement"):
        runner.run({"x": X})
    with runner:
        runner.run({"x": X})
    with pytest.raises(RunnerFailed, match="'with' statement"):
        runner.run({"x": X})


def test_torch_runs_in_the_dtype_of_its_inputs() -> None:
    weight = torch.from_numpy(WEIGHT)
    with TorchRunner(lambda x: (torch.relu(x @ weight), x + x), ["x"], ["y", "s"]) as runner:
        assert_equal(runner.run({"x": X}), expected())


def test_torch_promotes_floats_and_leaves_integers() -> None:
    with TorchRunner(lambda x, i: {"x": x, "i": i}, ["x", "i"], dtype="float64") as runner:
        found = runner.run({"x": X, "i": np.array([1, 2], np.int32)})
    assert {name: array.dtype.name for name, array in found.items()} == {"output_0": "float64", "output_1": "int32"}


def test_torch_neither_keeps_gradients_nor_writes_into_inputs() -> None:
    linear, given = torch.nn.Linear(3, 4), X.copy()
    with TorchRunner(lambda x: linear(x.add_(1)), ["x"]) as runner:
        runner.run({"x": given})
    np.testing.assert_array_equal(given, X)


def test_torch_failures_are_one_sentence() -> None:
    with TorchRunner(lambda x: x @ torch.zeros(7, 7), ["x"]) as runner:
        with pytest.raises(RunnerFailed, match="torch must run the model, but: mat1 and mat2") as caught:
            runner.run({"x": X})
        assert "\n" not in str(caught.value)
        with pytest.raises(RunnerFailed, match="input 'x' is missing"):
            runner.run({})


def test_torch_output_names_must_fit() -> None:
    with (
        TorchRunner(lambda x: (x, x), ["x"], ["y"]) as runner,
        pytest.raises(RunnerFailed, match="must return 1 outputs"),
    ):
        runner.run({"x": X})


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_, ml_dtypes.bfloat16]
)
def test_arrays_and_tensors_convert_both_ways(dtype: type) -> None:
    array = np.array([[0, 1], [1, 0]]).astype(dtype)
    back = to_array(to_tensor(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back.astype(np.float64), array.astype(np.float64))


@pytest.mark.parametrize("names", [(("a",), ("p", "q")), (("x",), ("s", "y"))])
def test_renaming_matches_by_name_or_else_by_position(names: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    inputs, outputs = names
    with RenamedRunner(OnnxRunner(onnx_model()), inputs, outputs) as runner:
        found = runner.run({inputs[0]: X})
    wanted = expected()
    order = ("s", "y") if outputs == ("s", "y") else ("y", "s")
    assert_equal(found, dict(zip(outputs, (wanted[n] for n in order), strict=True)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "what"), [(("a", "b"), ("y", "s"), "inputs"), (("x",), ("y",), "outputs")]
)
def test_renaming_needs_equal_numbers(inputs: tuple[str, ...], outputs: tuple[str, ...], what: str) -> None:
    with (
        pytest.raises(RunnerFailed, match=f"there must be . {what}"),
        RenamedRunner(OnnxRunner(onnx_model()), inputs, outputs) as runner,
    ):
        runner.run({"x": X})


def test_renamed_inputs_are_checked_under_their_new_names() -> None:
    wrong = pytest.raises(RunnerFailed, match=r"shape of input 'image' must be \[N, 3\]")
    with RenamedRunner(OnnxRunner(onnx_model()), ["image"], ["y", "s"]) as runner, wrong:
        runner.run({"image": X[:, :2]})


class Doubler(Runner):
    """The least a runner needs."""

    def _activate(self) -> None:
        self.inputs = (TensorSpec("x", ("N", 3)),)

    def _deactivate(self) -> None:
        self.inputs = ()

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": inputs["x"] * 2}


def test_a_runner_frees_its_model_when_the_body_raises() -> None:
    runner = Doubler()
    with pytest.raises(ZeroDivisionError), runner:
        _ = 1 / (runner.run({"x": X})["y"][0, 0].item() - 2)
    assert runner.inputs == ()
