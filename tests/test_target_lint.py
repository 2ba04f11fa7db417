"""Whether a target can run a model: operators, versions, types and restrictions, in bodies and functions too."""

from collections.abc import Sequence

import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from nascc.compiler.lint import Finding
from nascc.compiler.substitutions import RULE_FOR
from nascc.compiler.target_lint import blocking, check_target
from nascc.passes.substitute import RULES
from nascc.runtime.profile import load_target

FLOAT, DOUBLE, INT32, INT64, BOOL = (getattr(TensorProto, n) for n in ("FLOAT", "DOUBLE", "INT32", "INT64", "BOOL"))
IR = {13: 7, 17: 8, 20: 9}
node = helper.make_node


def model_of(
    *nodes: NodeProto,
    opset: int = 13,
    dtype: int = FLOAT,
    dims: Sequence[int | str] = (1, 4, 8, 8),
    **constants: object,
) -> ModelProto:
    tensors = []
    for name, value in constants.items():
        numbers = value if isinstance(value, list) else [value]
        kind = INT64 if isinstance(numbers[0], int) else FLOAT
        tensors.append(helper.make_tensor(name, kind, [len(numbers)], numbers))
    inputs = [helper.make_tensor_value_info("x", dtype, list(dims))]
    graph = helper.make_graph(list(nodes), "g", inputs, [helper.make_empty_tensor_value_info("y")], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR[opset])


def stops(model: ModelProto, target: str) -> list[Finding]:
    return blocking(check_target(model, load_target(target)))


CALLS = {
    "Relu": (13, node("Relu", ["x"], ["y"], "m/a")),
    "Mod": (13, node("Mod", ["x", "x"], ["y"], "m/a", fmod=1)),
    "Reciprocal": (13, node("Reciprocal", ["x"], ["y"], "m/a")),
    "IsInf": (13, node("IsInf", ["x"], ["y"], "m/a")),
    "Einsum": (13, node("Einsum", ["x", "x"], ["y"], "m/a", equation="abcd,abed->abce")),
    "GridSample": (17, node("GridSample", ["x", "x"], ["y"], "m/a")),
    "LayerNormalization": (17, node("LayerNormalization", ["x", "s"], ["y"], "m/a")),
    "HardSwish": (17, node("HardSwish", ["x"], ["y"], "m/a")),
    "CastLike": (17, node("CastLike", ["x", "x"], ["y"], "m/a")),
    "Gelu": (20, node("Gelu", ["x"], ["y"], "m/a")),
    "Det": (13, node("Det", ["x"], ["y"], "m/a")),
    "Col2Im": (20, node("Col2Im", ["x", "i", "i"], ["y"], "m/a")),
}
RUNS_ON = {
    "Relu": "nano xavier orin cpu cuda",
    "Mod": "xavier orin cpu cuda",
    "Reciprocal": "xavier orin cpu cuda",
    "IsInf": "orin cpu cuda",
    "Einsum": "nano xavier orin cpu cuda",
    "GridSample": "xavier orin cpu cuda",
    "LayerNormalization": "orin cpu cuda",
    "HardSwish": "xavier orin cpu cuda",
    "CastLike": "orin cpu cuda",
    "Gelu": "orin cpu cuda",
    "Det": "cpu cuda",
    "Col2Im": "cpu cuda",
}


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("target", ["nano", "xavier", "orin", "cpu", "cuda"])
def test_operators(kind: str, target: str) -> None:
    opset, call = CALLS[kind]
    found = stops(model_of(call, opset=opset, s=[1.0] * 8, i=[1, 1]), target)
    named = [finding for finding in found if finding.op]
    assert (named == []) == (target in RUNS_ON[kind].split())
    for finding in named:
        assert (finding.node, finding.module, finding.op) == ("m/a", "m", kind)
        assert finding.rule == RULE_FOR.get(kind, "")
        assert (f"`nascc fuse --target {target}`" in finding.help) == (kind in RULE_FOR)


def test_an_older_opset_is_fine_and_a_newer_one_is_not() -> None:
    model = model_of(node("Relu", ["x"], ["y"], "a"), opset=17)
    assert stops(model, "xavier") == [] and stops(model, "orin") == []
    problems = [finding.problem for finding in stops(model, "nano")]
    assert problems == ["nano reads opset 13 at most, found 17", "nano reads IR version 7 at most, found 8"]


def test_operators_that_a_later_opset_dropped_are_judged_by_the_models_own() -> None:
    call = node("Upsample", ["x", "s"], ["y"], "a", mode="nearest")
    old = model_of(call, s=[1.0, 1.0, 2.0, 2.0])
    old.opset_import[0].version, old.ir_version = 9, 4
    assert stops(old, "nano") == []
    (finding,) = stops(model_of(call, s=[1.0, 1.0, 2.0, 2.0]), "nano")
    assert "deprecated it at opset 10" in finding.help


TYPES = {
    "floats": (node("Relu", ["x"], ["y"], "a"), FLOAT, ""),
    "doubles are narrowed": (node("Relu", ["x"], ["y"], "a"), DOUBLE, ""),
    "integers": (node("Add", ["x", "x"], ["y"], "a"), INT64, ""),
    "integer products": (node("MatMul", ["x", "x"], ["y"], "a"), INT32, "nano xavier orin"),
    "bytes into a cast": (node("Cast", ["x"], ["y"], "a", to=FLOAT), TensorProto.UINT8, "nano"),
    "bytes": (node("Transpose", ["x"], ["y"], "a"), TensorProto.UINT8, "nano xavier orin"),
    "bits": (node("Concat", ["x", "x"], ["y"], "a", axis=0), BOOL, ""),
    "bits compared": (node("Equal", ["x", "x"], ["y"], "a"), BOOL, "nano xavier orin"),
    "bfloat16": (node("Relu", ["x"], ["y"], "a"), TensorProto.BFLOAT16, "nano xavier"),
    "short integers": (node("Add", ["x", "x"], ["y"], "a"), TensorProto.INT16, "nano xavier orin"),
    "sums of integers": (node("ReduceSum", ["x"], ["y"], "a"), INT32, ""),
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("target", ["nano", "xavier", "orin"])
def test_types(name: str, target: str) -> None:
    call, dtype, refused = TYPES[name]
    model = model_of(call, dtype=dtype)
    if name == "short integers":
        model.opset_import[0].version, model.ir_version = 14, 7
    found = [finding for finding in stops(model, target) if finding.op]
    assert bool(found) == (target in refused.split()), found


def test_shape_arithmetic_is_no_data() -> None:
    nodes = [
        node("Shape", ["x"], ["s"], "shape"),
        node("Cast", ["s"], ["f"], "cast", to=INT32),
        node("Clip", ["f"], ["c"], "clip"),
        node("Relu", ["f"], ["r"], "relu"),
        node("Cast", ["r"], ["i"], "back", to=INT64),
        node("Expand", ["x", "i"], ["y"], "expand"),
    ]
    model = model_of(*nodes)
    model.opset_import[0].version = 14
    assert [finding for finding in stops(model, "xavier") if finding.node == "relu"] == []


RESTRICTED = {
    "cubic": (13, node("Resize", ["x", "", "s"], ["y"], "a", mode="cubic"), "nano xavier"),
    "linear": (13, node("Resize", ["x", "", "s"], ["y"], "a", mode="linear"), ""),
    "crop and resize": (
        13,
        node("Resize", ["x", "r", "s"], ["y"], "a", coordinate_transformation_mode="tf_crop_and_resize"),
        "nano xavier orin",
    ),
    "indices": (13, node("MaxPool", ["x"], ["y", "i"], "a", kernel_shape=[2, 2]), "nano xavier orin"),
    "no indices": (13, node("MaxPool", ["x"], ["y"], "a", kernel_shape=[2, 2]), ""),
    "dilated": (13, node("MaxPool", ["x"], ["y"], "a", kernel_shape=[2, 2], dilations=[2, 2]), "nano xavier orin"),
    "ellipsis": (13, node("Einsum", ["x", "x"], ["y"], "a", equation="...ij,...jk->...ik"), "nano xavier"),
    "diagonal": (13, node("Einsum", ["x"], ["y"], "a", equation="abcc->abc"), "nano xavier"),
    "computed k": (13, node("TopK", ["x", "k"], ["y", "i"], "a"), "nano xavier"),
    "constant k": (13, node("TopK", ["x", "one"], ["y", "i"], "a"), ""),
}


@pytest.mark.parametrize("name", RESTRICTED)
@pytest.mark.parametrize("target", ["nano", "xavier", "orin", "cpu"])
def test_restrictions(name: str, target: str) -> None:
    opset, call, refused = RESTRICTED[name]
    first = node("ReduceSum", ["x", "axes"], ["total"], "sum", keepdims=0)
    nodes = [first, node("Cast", ["total"], ["k"], "to", to=INT64), call]
    found = stops(
        model_of(*nodes, opset=opset, s=[1.0, 1.0, 2.0, 2.0], r=[0.0] * 8, one=[1], axes=[0, 1, 2, 3]), target
    )
    assert bool(found) == (target in refused.split()), found


def test_resizes_name_the_rule_that_avoids_them() -> None:
    def rules(target: str, **attributes: object) -> list[str]:
        call = node("Resize", ["x", "", "s"], ["y"], "a", **attributes)
        model = model_of(call, opset=13, s=[1.0, 1.0, 2.0, 2.0])
        if "antialias" in attributes:
            model.opset_import[0].version, model.ir_version = 18, 8
        return [finding.rule for finding in stops(model, target) if finding.op]

    assert rules("nano", mode="cubic") == ["cubic_resize"] and "cubic_resize" in RULES
    assert rules("orin", mode="linear", antialias=1) == ["antialiased_resize"] and "antialiased_resize" in RULES


def test_bodies_read_values_from_outside() -> None:
    def body(kind: str) -> object:
        inner = [node("Neg", ["z"], ["n"], "in/neg"), node(kind, ["n"], ["r"], "in/act")]
        return helper.make_graph(inner, "b", [], [helper.make_empty_tensor_value_info("r")])

    def model(kind: str) -> ModelProto:
        branch = node("If", ["c"], ["y"], "if", then_branch=body(kind), else_branch=body("Relu"))
        return model_of(node("Abs", ["x"], ["z"], "abs"), node("Cast", ["k"], ["c"], "c", to=BOOL), branch, k=[1])

    assert stops(model("Relu"), "nano") == []
    (finding,) = stops(model("IsInf"), "nano")
    assert (finding.node, finding.op, finding.module) == ("in/act", "IsInf", "in")


def test_local_functions() -> None:
    call = node("Twice", ["x"], ["y"], "m/twice", domain="mine")
    model = model_of(call)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    opsets = [helper.make_opsetid("", 13)]
    inner = [node("IsInf", ["a"], ["i"], "inf"), node("Det", ["a"], ["b"], "det")]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], inner, opsets))
    (finding,) = stops(model, "xavier")
    assert finding.node == "m/twice" and "no local functions" in finding.problem
    assert [finding.node for finding in stops(model, "orin")] == ["det"]
    assert stops(model, "cpu") == []


def test_other_domains() -> None:
    model = model_of(node("QuickGelu", ["x"], ["y"], "m/a", domain="com.microsoft"))
    (finding,) = stops(model, "cpu")
    assert "must import the domain" in finding.problem
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert stops(model, "cpu") == []
    assert "does not know the domain" in stops(model, "nano")[0].problem
    model.graph.node[0].op_type = "Nonsense"
    assert "has no operator" in stops(model, "cpu")[0].problem
    model.graph.node[0].op_type, model.graph.node[0].domain = "Relu", ""
    assert stops(model, "nano") == []


def test_a_model_without_an_opset_is_no_model() -> None:
    model = model_of(node("Relu", ["x"], ["y"], "a"))
    del model.opset_import[:]
    assert ["must import an opset" in finding.problem for finding in stops(model, "nano")] == [True]


def test_nodes_without_names_are_called_after_their_outputs() -> None:
    (finding,) = stops(model_of(node("IsInf", ["x"], ["y"])), "nano")
    assert (finding.node, finding.module) == ("y", "")


def test_notes_stop_nothing() -> None:
    model = model_of(node("Add", ["x", "x"], ["y"], "a"), dtype=INT64, dims=("N", 4))
    found = check_target(model, load_target("nano"))
    assert blocking(found) == []
    assert [finding.problem.split()[0] for finding in found] == ["TensorRT", "sizes"]
    assert {finding.entry()["severity"] for finding in found} == {"note"}
