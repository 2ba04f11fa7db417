"""Any two networks: captured and ONNX, under whatever names."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from nascc.compiler.errors import CaptureFailed, UsageError
from nascc.compiler.verify_files import onnx_inputs, verify_files
from verify_kit import Function, Net, add_to_first, captured, lowered, net, nudged


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """A copy with other names of values."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for node in copy.graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    for value in (*copy.graph.input, *copy.graph.output):
        value.name = names.get(value.name, value.name)
    return copy


def test_two_onnx_models() -> None:
    network, _ = net()
    a, b = lowered(network, 13), lowered(network, 20)
    found = verify_files(a, b)
    assert found and found.a == "the first model" and found.max_rel < 1e-6
    assert {"random 0 (N=1)", "random 1 (N=3)"} <= {o.label for o in found.outcomes}


def test_two_onnx_models_that_differ_name_the_first_common_value() -> None:
    network, _ = net()
    a = lowered(network)
    found = verify_files(a, nudged(a, "body.weight", add_to_first(0.1)))
    assert not found and found.divergence is not None
    assert (found.divergence.value, found.divergence.module) == ("body/conv", "body")
    assert found.divergence.before < 1e-5 < found.divergence.after


def test_two_onnx_files(tmp_path: Path) -> None:
    network, _ = net()
    onnx.save(lowered(network, 13), tmp_path / "a.onnx")
    onnx.save(nudged(lowered(network, 17), "head.bias", add_to_first(1.0)), tmp_path / "b.onnx")
    assert verify_files(tmp_path / "a.onnx", tmp_path / "a.onnx")
    found = verify_files(tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert not found and found.divergence is not None and found.divergence.value == "output"


@pytest.mark.parametrize("swapped", [False, True])
def test_a_captured_network_is_the_reference(swapped: bool) -> None:
    network, _ = net()
    model = lowered(network)
    pairs = [(network, model), (network, nudged(model, "stem.weight", add_to_first(0.1)))]
    good, bad = (verify_files(*(pair[::-1] if swapped else pair)) for pair in pairs)
    assert good and good.a == bad.a == "float64"
    assert not bad and bad.divergence is not None and bad.divergence.module == "stem"


def test_two_captured_networks() -> None:
    network, _ = net()
    assert verify_files(network, captured(Net(), "x:Nx3x16x16"))
    found = verify_files(network, captured(Net(), "x:Nx3x16x16", seed=1))
    assert not found and "max_rel must be at most" in found.reason


def test_names_may_differ() -> None:
    network, _ = net()
    other = renamed(lowered(network), {"x": "image", "output": "logits"})
    assert verify_files(network, other)
    assert verify_files(lowered(network), other)
    assert not verify_files(network, nudged(other, "head.bias", add_to_first(1.0)))


def test_outputs_in_another_order_are_matched_by_name() -> None:
    network = captured(Function(lambda layer, x: {"a": layer(x), "b": x * 2}), "x:2x16")
    model = lowered(network)
    outputs = list(model.graph.output)[::-1]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    assert [o.name for o in model.graph.output] == ["b", "a"]
    assert verify_files(network, model)


def test_other_numbers_of_outputs_differ() -> None:
    network = captured(Function(lambda layer, x: (layer(x), x * 2)), "x:2x16")
    one = captured(Function(lambda layer, x: layer(x)), "x:2x16")
    assert "there must be 2 outputs" in verify_files(network, lowered(one)).reason
    assert "there must be 1 outputs" in verify_files(lowered(one), lowered(network)).reason


def test_another_static_size_differs() -> None:
    network, _ = net()
    static = lowered(captured(Net(), "x:1x3x16x16"))
    assert "shape of input 'x' must be [1, 3, 16, 16], got [2, 3, 16, 16]" in verify_files(network, static).reason


def test_data_is_run_on_both() -> None:
    network, _ = net()
    data = {"x": np.ones((3, 3, 16, 16), np.float32)}
    model = lowered(network)
    assert verify_files(model, model, data=data).outcomes[-1].label == "data 0"
    with pytest.raises(UsageError, match="'y' is no input"):
        verify_files(model, model, data={"y": data["x"]})


def test_a_first_model_that_does_not_load_is_said_to() -> None:
    network, _ = net()
    broken = lowered(network)
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(CaptureFailed, match="must load"):
        verify_files(broken, lowered(network))
    assert "must load" in verify_files(lowered(network), broken).reason


def test_inputs_of_an_onnx_model() -> None:
    network = captured(Function(lambda layer, x: layer(x)), "x:Nx16")
    model = lowered(network)
    assert [str(s) for s in onnx_inputs(model)] == ["x:Nx16"]
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    assert onnx_inputs(model)[0].dims == ("x_0", 16)
    model.graph.input.append(onnx.helper.make_tensor_value_info("layer.weight", onnx.TensorProto.FLOAT, [16, 16]))
    assert len(onnx_inputs(model)) == 1
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    assert onnx_inputs(model)[0].dtype is torch.uint8
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with pytest.raises(UsageError, match="must hold numbers"):
        onnx_inputs(model)
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(UsageError, match="known rank"):
        onnx_inputs(model)
