"""The check of a model against its operator set: every rule has a model that breaks it."""

from collections.abc import Callable

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from nascc.compiler.lint import Finding, check_model, check_waste

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def model_of(*nodes: onnx.NodeProto, opset: int = 13, dtype: int = FLOAT, **constants: list[float]) -> ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", dtype, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", dtype, None)],
        [
            helper.make_tensor(name, INT64 if isinstance(value[0], int) else FLOAT, [len(value)], value)
            for name, value in constants.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


def problems(model: ModelProto, opset: int = 13, ir_version: int = 7) -> list[str]:
    return [str(finding) for finding in check_model(model, opset=opset, ir_version=ir_version)]


def test_a_good_model_has_no_findings() -> None:
    model = model_of(
        helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Squeeze", ["r", "axes"], ["y"]), axes=[0]
    )
    assert problems(model) == []


WRONG = {
    "later operator": (helper.make_node("HardSwish", ["x"], ["y"], "a/b"), "must exist at opset 13.*from opset 14 on"),
    "unknown operator": (helper.make_node("Swosh", ["x"], ["y"], "n"), "no operator of this name"),
    "deprecated operator": (helper.make_node("Upsample", ["x", "x"], ["y"], "n"), "must exist at opset 13"),
    "other domain": (helper.make_node("Gelu", ["x"], ["y"], "n", domain="com.microsoft"), "default domain"),
    "attribute of another version": (
        helper.make_node("ReduceSum", ["x"], ["y"], "n", axes=[2]),
        "no attribute 'axes' in version 13",
    ),
    "attribute of another type": (helper.make_node("Elu", ["x"], ["y"], "n", alpha=1), "must be FLOAT, found INT"),
    "missing attribute": (helper.make_node("Cast", ["x"], ["y"], "n"), "must have the attribute 'to'"),
    "input of another version": (helper.make_node("ReduceMean", ["x", "x"], ["y"], "n"), "must have 1 inputs, found 2"),
    "missing input": (helper.make_node("Add", ["x"], ["y"], "n"), "must have 2 inputs, found 1"),
    "empty input": (helper.make_node("Add", ["x", ""], ["y"], "n"), "must have the input 'B'"),
    "too many outputs": (helper.make_node("Relu", ["x"], ["y", "z"], "n"), "must have 1 outputs, found 2"),
    "type": (helper.make_node("And", ["x", "x"], ["y"], "n"), r"must not be tensor\(float\)"),
    "mixed types": (helper.make_node("Add", ["x", "axes"], ["y"], "n"), "like the others"),
    "undefined input": (helper.make_node("Relu", ["nowhere"], ["y"], "n"), "'nowhere' is not"),
}


@pytest.mark.parametrize("name", WRONG)
def test_finds(name: str) -> None:
    node, message = WRONG[name]
    (finding, *_) = check_model(model_of(node, axes=[0]), opset=13, ir_version=7)
    assert isinstance(finding, Finding)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(finding))
    assert (finding.node, finding.op) == (node.name, node.op_type)


def test_the_module_is_told() -> None:
    node = helper.make_node("HardSwish", ["x"], ["y"], "features.3.act/hard_swish")
    (finding,) = check_model(model_of(node), opset=13, ir_version=7)
    assert finding.module == "features.3.act"


def test_types_follow_through_the_graph() -> None:
    nodes = [helper.make_node("Cast", ["x"], ["b"], to=BOOL), helper.make_node("Not", ["b"], ["n"])]
    assert problems(model_of(*nodes, helper.make_node("Relu", ["n"], ["y"]))) != []
    assert problems(model_of(*nodes, helper.make_node("Cast", ["n"], ["y"], to=FLOAT))) == []


HEADERS: dict[str, tuple[Callable[[ModelProto], object], str]] = {
    "opset": (lambda m: setattr(m.opset_import[0], "version", 18), "must import ai.onnx 13 alone, found ai.onnx 18"),
    "domain": (lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)), "found .* com.microsoft 1"),
    "no import": (lambda m: m.ClearField("opset_import"), "found none"),
    "ir version": (lambda m: setattr(m, "ir_version", 9), "IR version must be 7, found 9"),
    "function": (lambda m: m.functions.add(name="f"), "must not define functions, found f"),
    "output": (lambda m: m.graph.output.add(name="z"), "'z' is not"),
    "names": (lambda m: m.graph.node.add(op_type="Relu", name="n", input=["x"], output=["q"]), "must be unique"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_finds_in_the_model(name: str) -> None:
    change, message = HEADERS[name]
    model = model_of(helper.make_node("Relu", ["x"], ["y"], "n"))
    assert problems(model) == []
    change(model)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError("; ".join(problems(model)))


def test_bodies_of_branches_are_checked_too() -> None:
    body = helper.make_graph([helper.make_node("HardSwish", ["x"], ["z"], "inner")], "b", [], [])
    node = helper.make_node("If", ["c"], ["y"], "n", then_branch=body, else_branch=body)
    model = model_of(helper.make_node("Cast", ["x"], ["c"], to=BOOL), node)
    assert any("inner" in problem for problem in problems(model))


def test_waste_is_found() -> None:
    model = model_of(
        helper.make_node("Constant", [], ["c"], "one", value_float=1.0),
        helper.make_node("Identity", ["x"], ["i"], "two"),
        helper.make_node("Relu", ["x"], ["unused"], "three"),
        helper.make_node("Add", ["i", "c"], ["y"], "four"),
        spare=[1.0],
    )
    assert {finding.node for finding in check_waste(model)} == {"", "one", "two", "three"}


def test_an_identity_that_names_an_output_is_no_waste() -> None:
    assert check_waste(model_of(helper.make_node("Identity", ["x"], ["y"]))) == []
