"""Verification: what is equal passes, what is damaged is found, and the node where it begins is named."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, numpy_helper
from torch import Tensor, nn

from nascc.compiler.errors import NotEquivalent
from nascc.compiler.reference import Reference
from nascc.compiler.verify import verify_module, verify_onnx, verify_pass
from nascc.passes import FoldBatchNorm, demote, run_pass
from nascc.passes import graph as g
from verify_kit import Function, Net, add_to_first, captured, lowered, net, nudged, on_output, with_original

aten = torch.ops.aten


def test_an_equal_model_is_equal() -> None:
    network, reference = net()
    found = verify_onnx(network, lowered(network), reference=reference)
    assert found and not found.reason and not found.warnings and found.divergence is None
    assert found.max_rel < 1e-6 and found.own_max_rel is not None and found.own_max_rel < 1e-6
    assert [o.label for o in found.outcomes] == ["example (N=2)", "random 0 (N=1)", "random 1 (N=3)", "zero (N=1)",
                                                 "large 0 (N=1)"]  # fmt: skip
    found.require()


@pytest.mark.parametrize("opset", [11, 13, 20])
def test_every_opset_is_run(opset: int) -> None:
    network, reference = net()
    assert verify_onnx(network, lowered(network, opset), reference=reference)


def test_a_reference_is_made_where_none_is_given() -> None:
    network, _ = net()
    assert verify_onnx(network, lowered(network), seed=3)


def test_the_report_has_both_comparisons() -> None:
    network, reference = net()
    mine, own = verify_onnx(network, lowered(network), reference=reference).entries()
    assert (mine.a, mine.b, own.b) == ("float64", "onnxruntime", "the original in float32")
    (output,) = mine.outputs
    assert output.name == "output" and output.ok and output.tolerance == 1e-5 and output.top1_agreement == 1.0
    assert output.cosine == pytest.approx(1.0) and output.snr_db is not None and output.snr_db > 100


@pytest.mark.parametrize(
    ("weight", "module", "value"),
    [("stem.weight", "stem", "stem/conv"), ("body.weight", "body", "body/conv"), ("head.weight", "head", "output")],
)
@pytest.mark.parametrize("fold", [False, True])
def test_a_damaged_weight_is_found_and_named(weight: str, module: str, value: str, fold: bool) -> None:
    network, reference = net()
    graph = g.copy_graph(network.gm)
    if fold:
        assert run_pass(FoldBatchNorm(), graph)
        assert verify_pass(graph, reference) < 1e-12
    model = nudged(lowered(copy_with(network, graph)), weight, add_to_first(0.05))
    found = verify_onnx(network, model, reference=reference, graph=graph)
    assert not found and found.divergence is not None
    assert found.divergence.module == module and found.divergence.value == value
    assert found.divergence.before < 1e-5 < found.divergence.after
    with pytest.raises(NotEquivalent, match=f"of module '{module}'") as caught:
        found.require()
    assert caught.value.exit_code == 5
    entry = found.entries()[0]
    assert not entry.outputs[0].ok and entry.first_divergence is not None and entry.first_divergence.module == module


def copy_with(network, graph):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(network, gm=graph)


def test_a_small_damage_is_found() -> None:
    network, reference = net()
    damaged = nudged(lowered(network), "head.weight", lambda a: a * (1 + 5e-5))
    assert not verify_onnx(network, damaged, reference=reference)


def test_names_of_values_can_be_handed_in() -> None:
    network, reference = net()
    model = nudged(lowered(network), "head.weight", add_to_first(0.1))
    (node,) = network.gm.graph.find_nodes(op="call_function", target=aten.sigmoid.default)
    own = verify_onnx(network, model, reference=reference).divergence
    told = verify_onnx(network, model, reference=reference, names={node.name: "stem/conv"}).divergence
    assert own is not None and own.module == "head"
    assert told is not None and (told.node, told.value) == (node.name, "stem/conv")


@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_nan_and_infinity_are_found(damage: float) -> None:
    network, reference = net()
    found = verify_onnx(network, nudged(lowered(network), "head.bias", add_to_first(damage)), reference=reference)
    assert not found and "differ in being finite" in found.reason
    assert found.divergence is not None and found.divergence.module == "head"


def test_swapped_outputs_are_found() -> None:
    network = captured(Function(lambda layer, x: (layer(x), x * 2)), "x:Nx16")
    model = lowered(network)
    assert verify_onnx(network, model)
    first, second = model.graph.output
    for node in model.graph.node:
        node.output[:] = [{first.name: second.name, second.name: first.name}.get(n, n) for n in node.output]
    found = verify_onnx(network, model)
    assert not found and all(not o for o in found.outputs)


def test_a_missing_output_is_found() -> None:
    network = captured(Function(lambda layer, x: (layer(x), x * 2)), "x:Nx16")
    model = lowered(network)
    del model.graph.output[1]
    assert "outputs must be ['output_0', 'output_1'], got ['output_0']" in verify_onnx(network, model).reason


def test_another_dtype_is_found() -> None:
    network, reference = net()
    model = on_output(lowered(network), "Cast", to=TensorProto.DOUBLE)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    assert "dtype must be float32, got float64" in verify_onnx(network, model, reference=reference).reason


def test_another_shape_is_found() -> None:
    network, reference = net()
    model = on_output(lowered(network), "Unsqueeze", numpy_helper.from_array(np.array([0]), "axes"))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert "shape must be [2, 5], got [1, 2, 5]" in verify_onnx(network, model, reference=reference).reason


def test_a_baked_batch_is_found_and_the_node_named() -> None:
    network, reference = net()
    model = on_output(lowered(network), "Reshape", numpy_helper.from_array(np.array([2, 5]), "shape"))
    found = verify_onnx(network, model, reference=reference)
    assert [bool(o) for o in found.outcomes] == [True, False, False, False, False]
    assert found.divergence is not None and found.divergence.node == "extra/reshape"
    assert "random 0 (N=1)" in found.reason and "extra/reshape" in found.reason


def test_a_batch_folded_into_one_row_is_found() -> None:
    network, reference = net()
    model = on_output(lowered(network), "ReduceMax", axes=[0], keepdims=1)
    assert not verify_onnx(network, model, reference=reference)


def test_a_model_that_does_not_load_is_not_equal() -> None:
    network, reference = net()
    model = lowered(network)
    model.graph.node[0].op_type = "NoSuchOperator"
    found = verify_onnx(network, model, reference=reference)
    assert not found and "onnxruntime must load the model" in found.reason
    with pytest.raises(NotEquivalent):
        found.require()


def test_data_of_the_user_is_run() -> None:
    network, _ = net()
    data = {"x": np.random.default_rng(0).uniform(-1, 1, (11, 3, 16, 16)).astype(np.float32)}
    found = verify_onnx(network, lowered(network), data=data)
    assert found and [o.label for o in found.outcomes[-2:]] == ["data 0", "data 1"]


def test_a_static_network_is_run_at_its_size() -> None:
    network, reference = net("x:2x3x16x16")
    assert {run.exact[0].shape for run in reference.runs} == {(2, 5)}
    assert verify_onnx(network, lowered(network), reference=reference)


# passes


def test_a_pass_that_changes_nothing_is_exact() -> None:
    network, reference = net()
    assert verify_pass(network.gm, reference) == 0.0


def test_passes_are_judged_on_other_sizes_than_those_of_the_example() -> None:
    _, reference = net()
    assert reference.proof.sample.label == "random 0 (N=1)"


def test_a_pass_that_changes_values_is_named() -> None:
    network, reference = net()
    graph = g.copy_graph(network.gm)
    g.set_constant(graph, "body.bias", g.get_constant(graph, "body.bias") * (1 + 1e-6))
    with pytest.raises(NotEquivalent, match="BadPass must not change what the graph computes in float64"):
        verify_pass(graph, reference, "BadPass")
    assert verify_pass(network.gm, reference) == 0.0


def test_a_pass_must_leave_a_graph_that_runs() -> None:
    network, reference = net()
    graph = g.copy_graph(network.gm)
    g.set_constant(graph, "head.weight", torch.zeros(5, 7, dtype=torch.float64))
    with pytest.raises(NotEquivalent, match="BadPass must leave a graph that runs on random 0"):
        verify_pass(graph, reference, "BadPass")


def test_a_pass_must_keep_the_recorded_dtype() -> None:
    network, reference = net()
    graph = g.copy_graph(network.gm)
    graph.graph.find_nodes(op="output")[0].args[0][0].meta["dtype"] = torch.float16
    with pytest.raises(NotEquivalent, match=r"recorded dtypes must be \['float32'\], got \['float16'\]"):
        verify_pass(graph, reference, "BadPass")


def test_a_stale_module_does_not_hide_an_edit() -> None:
    network, reference = net()
    graph = g.copy_graph(network.gm)
    (conv, *_) = graph.graph.find_nodes(op="call_function", target=aten.sigmoid.default)
    conv.target = aten.tanh.default
    with pytest.raises(NotEquivalent):
        verify_pass(graph, reference)


# modules


def test_a_module_in_its_own_dtype_is_verified() -> None:
    network, reference = net()
    module = demote(network.gm)
    assert verify_module(reference, module)
    with torch.no_grad():
        module.get_parameter("head.weight")[0, 0] += 0.1
    found = verify_module(reference, module)
    assert not found and "max_rel must be at most" in found.reason


class Keywords(nn.Module):
    """Nested inputs, a constant argument, a dictionary of outputs."""

    def forward(self, pair: tuple[Tensor, Tensor], scale: float = 2.0) -> dict[str, Tensor]:
        return {"sum": pair[0] + pair[1], "scaled": pair[0] * scale}


def test_a_module_is_called_as_the_original_is() -> None:
    from nascc.compiler.capture import capture

    network = capture(Keywords(), ((torch.randn(2, 4), torch.randn(2, 4)), 3.0))
    assert verify_module(Reference.of(network), demote(network.gm))


# originals


def test_an_original_that_computes_something_else_is_refused() -> None:
    network, _ = net()
    other = with_original(network, lambda x: tuple(y * 1.2 for y in network.module_call(x)))
    with pytest.raises(NotEquivalent, match="captured graph must compute what the original computes"):
        verify_onnx(other, lowered(network))


def test_an_original_of_another_dtype_is_refused() -> None:
    network, _ = net()
    other = with_original(network, lambda x: tuple(y.double() for y in network.module_call(x)))
    with pytest.raises(NotEquivalent, match="has another form"):
        verify_onnx(other, lowered(network))


def test_an_original_that_does_not_run_leaves_the_floor() -> None:
    def fail(_x: Tensor) -> tuple[Tensor, ...]:
        raise RuntimeError("no kernel for this dtype")

    network, _ = net()
    found = verify_onnx(with_original(network, fail), lowered(network))
    assert found and found.own_max_rel is None and len(found.entries()) == 1
    assert "no kernel for this dtype" in found.skipped[0] and found.outputs[0].tolerance == 1e-5


def test_sizes_the_original_refuses_are_skipped() -> None:
    def strict(x: Tensor) -> tuple[Tensor, ...]:
        if len(x) == 3:
            raise ValueError("no batches of 3")
        return network.module_call(x)

    network, _ = net()
    found = verify_onnx(with_original(network, strict), lowered(network))
    assert found and len(found.outcomes) == 4 and "no batches of 3" in found.skipped[0]


def test_weights_that_are_nan_leave_nothing_to_compare() -> None:
    network = captured(Function(lambda layer, x: layer(x) * float("nan")), "x:2x16")
    found = verify_onnx(network, lowered(network))
    assert not found and "must be finite somewhere" in found.reason


def test_models_come_as_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    network, reference = net()
    path = tmp_path / "net.onnx"
    onnx.save(nudged(lowered(network), "stem.weight", add_to_first(1.0)), path)
    found = verify_onnx(network, path, reference=reference)
    assert not found and found.divergence is not None and found.divergence.module == "stem"


def test_verification_leaves_the_graph_alone() -> None:
    network, _ = net()
    before = copy.deepcopy(str(network.gm.graph))
    model = nudged(lowered(network), "stem.weight", add_to_first(1.0))
    serialized = model.SerializeToString()
    assert not verify_onnx(network, model)
    assert str(network.gm.graph) == before and model.SerializeToString() == serialized
    assert isinstance(model, ModelProto) and isinstance(Net().eval(), nn.Module)
