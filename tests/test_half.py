"""fp16: the typed graph, islands in fp32, and layers that overflow or lose accuracy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nascc.compiler.deployable import deployable
from nascc.compiler.errors import NotEquivalent, UnsupportedByTarget
from nascc.compiler.exact_onnx import exact_values
from nascc.compiler.half import typed_half
from nascc.compiler.islands import halve
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.tools.bench.mbconv import mbconv_network

SHAPE = (1, 3, 8, 8)


def weights(name: str, *shape: int, scale: float = 1.0) -> TensorProto:
    values = np.random.default_rng(len(name)).standard_normal(shape) * scale
    return numpy_helper.from_array(values.astype(np.float32), name)


def model(nodes: Sequence[Any], constants: Sequence[TensorProto], outputs: dict[str, Sequence[int]]) -> ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)
    graph = helper.make_graph(list(nodes), "g", [x], ends, list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def feed(seed: int = 0) -> dict[str, Any]:
    return {"x": np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)}


def overflowing() -> ModelProto:
    """conv, times 60000, relu, divided by 60000, conv: values in the middle do not fit into fp16."""
    big = numpy_helper.from_array(np.float32(60000), "big")
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "first"),
        helper.make_node("Mul", ["a", "big"], ["b"], "up"),
        helper.make_node("Relu", ["b"], ["c"], "relu"),
        helper.make_node("Div", ["c", "big"], ["d"], "down"),
        helper.make_node("Conv", ["d", "w1"], ["y"], "last"),
    ]
    constants = [weights("w0", 4, 3, 1, 1), weights("w1", 4, 4, 1, 1), big]
    return model(nodes, constants, {"y": (1, 4, 8, 8)})


def cancelling() -> ModelProto:
    """(a + 3000) - 3000 loses what fp16 can not hold beside 3000."""
    shift = numpy_helper.from_array(np.float32(3000), "shift")
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], "first"),
        helper.make_node("Add", ["a", "shift"], ["b"], "plus"),
        helper.make_node("Sub", ["b", "shift"], ["y"], "minus"),
    ]
    return model(nodes, [weights("w0", 4, 3, 1, 1), shift], {"y": (1, 4, 8, 8)})


def types(found: ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(found, strict_mode=True)
    return {v.name: v.type.tensor_type.elem_type for v in (*inferred.graph.value_info, *inferred.graph.output)}


def test_a_typed_graph_computes_in_fp16_and_keeps_its_ends() -> None:
    source = mbconv_network(30)
    found = typed_half(source)
    onnx.checker.check_model(found, full_check=True)
    assert [o.type for o in found.graph.output] == [o.type for o in source.graph.output]
    kinds = types(found)
    inner = [o for n in found.graph.node for o in n.output if n.op_type != "Cast" and not o.endswith("/single")]
    assert {kinds[name] for name in inner} == {TensorProto.FLOAT16}
    assert {t.data_type for t in found.graph.initializer} == {TensorProto.FLOAT16}
    assert [n.name for n in found.graph.node if n.op_type != "Cast"] == [n.name for n in source.graph.node]


def test_islands_stay_in_fp32_with_one_cast_a_value() -> None:
    found = typed_half(overflowing(), ["up", "relu", "down"])
    onnx.checker.check_model(found, full_check=True)
    kinds = types(found)
    assert [kinds[name] for name in "abcd"] == [TensorProto.FLOAT16, *[TensorProto.FLOAT] * 3]
    assert [n.output[0] for n in found.graph.node if n.op_type == "Cast"] == ["x/half", "a/single", "d/half", "y"]


def test_a_value_read_in_both_types_and_as_an_output() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "relu"),
        helper.make_node("Exp", ["a"], ["b"], "exp"),
        helper.make_node("Add", ["a", "b"], ["y"], "add"),
    ]
    source = model(nodes, [], {"a": SHAPE, "y": SHAPE})
    for keep in ([], ["exp"], ["relu"], ["add"], ["relu", "exp", "add"]):
        found = typed_half(source, keep)
        onnx.checker.check_model(found, full_check=True)
        with OnnxRunner(found) as half, OnnxRunner(source) as single:
            for got, wanted in zip(half.run(feed()).values(), single.run(feed()).values(), strict=True):
                assert got.dtype == np.float32 and np.abs(got - wanted).max() <= 5e-3 * np.abs(wanted).max()


def test_a_weight_read_in_both_types() -> None:
    for keep in (["plus"], ["minus"]):
        found = typed_half(cancelling(), keep)
        onnx.checker.check_model(found, full_check=True)
        assert len({t.name for t in found.graph.initializer}) == len(found.graph.initializer) == 3


def test_weights_that_do_not_fit_stay_in_fp32() -> None:
    nodes = [helper.make_node("Conv", ["x", "w0"], ["y"], "conv")]
    found = typed_half(model(nodes, [weights("w0", 4, 3, 1, 1, scale=1e6)], {"y": (1, 4, 8, 8)}))
    assert found.graph.initializer[0].data_type == TensorProto.FLOAT


def test_sizes_of_a_resize_stay_in_fp32() -> None:
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [helper.make_node("Resize", ["x", "", "scales"], ["y"], "resize", mode="nearest")]
    found = typed_half(model(nodes, [scales], {"y": (1, 3, 16, 16)}))
    onnx.checker.check_model(found, full_check=True)
    with OnnxRunner(found) as runner:
        assert runner.run(feed())["y"].shape == (1, 3, 16, 16)


def test_exact_values_are_those_of_float64() -> None:
    source = mbconv_network(30)
    name = source.graph.input[0].name
    dims = [d.dim_value for d in source.graph.input[0].type.tensor_type.shape.dim]
    given = {name: np.random.default_rng(0).standard_normal(dims).astype(np.float32)}
    exact = exact_values(source, given)
    with OnnxRunner(source) as runner:
        found = runner.run(given)
    for output, value in found.items():
        assert exact[output].dtype == np.float64
        assert np.abs(exact[output] - value).max() <= 1e-5 * np.abs(value).max()


@pytest.mark.parametrize("given", [{"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"pads": [1, 2, 0, 1]}, {}])
@pytest.mark.parametrize(("strides", "dilations"), [([1, 1], [1, 1]), ([2, 3], [1, 1]), ([1, 2], [2, 1])])
def test_convolutions_in_float64(given: dict[str, Any], strides: list[int], dilations: list[int]) -> None:
    if dilations != [1, 1] and "auto_pad" in given:
        given = {"pads": [2, 1, 2, 1]}
    nodes = [helper.make_node("Conv", ["x", "w0"], ["y"], "c", strides=strides, dilations=dilations, **given)]
    source = model(nodes, [weights("w0", 4, 3, 3, 2)], {"y": (1, 4, "h", "w")})  # type: ignore[list-item, dict-item]
    with OnnxRunner(source) as runner:
        wanted = runner.run(feed())["y"]
    found = exact_values(source, feed())["y"]
    assert found.shape == wanted.shape and np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_layers_that_overflow_are_found() -> None:
    found = halve(overflowing(), [feed(0), feed(1)])
    assert found.single == found.overflowing == ("up", "relu", "down") and found.error < 5e-3
    assert {e.node: e.single for e in found.layers}["relu"] and all(np.isfinite(e.relative) for e in found.layers)
    plain = exact_values(typed_half(overflowing()), feed())
    assert not np.isfinite(plain["y"]).all(), "without islands it overflows"


def test_layers_that_lose_accuracy_are_found() -> None:
    found = halve(cancelling(), [feed(0), feed(1)])
    assert set(found.single) == {"plus", "minus"} and not found.overflowing and found.error < 5e-3


def test_nothing_is_kept_where_nothing_has_to_be() -> None:
    source = mbconv_network(30)
    dims = [d.dim_value for d in source.graph.input[0].type.tensor_type.shape.dim]
    given = {source.graph.input[0].name: np.random.default_rng(0).standard_normal(dims).astype(np.float32)}
    found = halve(source, [given])
    assert found.single == () and found.error < 5e-3 and len(found.layers) == len(source.graph.node)


def test_a_network_that_fp16_can_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nascc.compiler.islands.MOST", 1)
    with pytest.raises(NotEquivalent, match="use --fp32"):
        halve(cancelling(), [feed()], tolerance=1e-9)


@pytest.mark.parametrize(
    ("version", "typed", "pinned"),
    [("8.6.1", False, ("up", "relu", "down")), ("10.3.0", False, ("up", "relu", "down")), ("11.0.0", True, None)],
)
def test_islands_go_by_name_up_to_10_and_into_the_graph_from_11(
    version: str, typed: bool, pinned: tuple[str, ...] | None
) -> None:
    found = deployable(overflowing(), "fp16", [feed()], version)
    assert found.typed is typed and found.pinned == (pinned or found.pinned) and len(found.overflowing) == 3
    kinds = {t.data_type for t in found.model.graph.initializer}
    assert (TensorProto.FLOAT16 in kinds) is typed


def test_islands_are_refused_where_trtexec_can_not_pin_layers() -> None:
    with pytest.raises(UnsupportedByTarget, match="trtexec of TensorRT 8.2.1 can not keep layers in fp32.*--fp32"):
        deployable(overflowing(), "fp16", [feed()], "8.2.1")
    assert deployable(overflowing(), "fp32", [feed()], "8.2.1").pinned == ()
