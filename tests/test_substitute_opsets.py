"""At every opset, every operator of the IR has an ONNX form, directly or through the rules that the opset needs."""

import re
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from kit import ir, outputs, relative_error
from nascc.compiler.deploy import deploy
from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.lowering import can_lower, lower
from nascc.compiler.lowering.table import LOWERINGS, NEEDS
from nascc.compiler.substitutions import NO_RULE, RULE_FOR, advice, rules_for
from nascc.compiler.target_lint import blocking, check_target
from nascc.passes import SubstituteOperators, run_pass
from nascc.passes import graph as g
from nascc.passes.canonical.vocabulary import VOCABULARY
from nascc.passes.substitute import RULES
from nascc.runtime.profile import load_target
from substitute_cases import CASES, PLAIN, Fn, module

OPSETS = range(11, 21)
TARGETS = ("nano", "xavier", "orin")
"""TensorRT 8.2, 8.5 and 10."""
aten = torch.ops.aten
UNSUPPORTED_BELOW = {aten.grid_sampler.default: 16, aten.grid_sampler_2d.default: 16}
FOLDED = {aten.eye.default, aten.empty.memory_format, aten.new_empty.default}
SIZES = {aten.sym_size.int}


@pytest.mark.parametrize("opset", OPSETS)
def test_every_operator_has_a_form(opset: int) -> None:
    replaced = {target for name in rules_for(opset) for target in RULES[name].targets}
    written = {target for target in LOWERINGS if NEEDS.get(target, 0) <= opset}
    unsupported = {target for target, lowest in UNSUPPORTED_BELOW.items() if opset < lowest}
    assert written.isdisjoint(unsupported)
    assert sorted(map(str, VOCABULARY - written - replaced - unsupported - FOLDED - SIZES)) == []


@pytest.mark.parametrize("opset", OPSETS)
def test_only_what_an_opset_lacks_is_replaced(opset: int) -> None:
    replaced = {target for name in rules_for(opset) for target in RULES[name].targets}
    assert all(opset < NEEDS.get(target, 0) for target in replaced)


def test_a_target_adds_what_it_lacks() -> None:
    assert rules_for(20) == ()
    assert rules_for(20, ("Shrink", "HardSwish", "NonZero")) == ("hard_swish", "shrink")
    assert set(RULE_FOR.values()) <= set(RULES)
    assert RULE_FOR.keys().isdisjoint(NO_RULE)


@pytest.mark.parametrize(
    ("tensorrt", "rules"), [("8.6.1", ("antialiased_resize", "cubic_resize")), ("10.3", ("antialiased_resize",))]
)
def test_a_tensorrt_adds_what_its_resize_lacks(tensorrt: str, rules: tuple[str, ...]) -> None:
    assert rules_for(20, tensorrt=tensorrt) == rules


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Mod", "the substitution 'modulo' avoids it"),
        ("GridSample", "no substitution avoids it: it reads pixels at places known only at run time"),
        ("NonZero", "no substitution avoids it"),
    ],
)
def test_advice(kind: str, text: str) -> None:
    assert advice(kind).startswith(text)


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_lowering_writes_and_a_target_lacks_is_accounted_for(name: str) -> None:
    """No operator that the lowering names is lacked without a rule, or without the reason why there is none."""
    folder = resources.files("nascc.compiler.lowering")
    sources = [f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".py")]
    written = {kind for text in sources for kind in re.findall(r'"([A-Z]\w*)"', text)}
    written |= {f"Bitwise{kind}" for kind in ("And", "Or", "Xor")}
    assert {
        kind for kind in written.intersection(load_target(name).lacks) if advice(kind) == "no substitution avoids it"
    } == set()


@pytest.mark.parametrize("case", [*CASES, *PLAIN])
def test_every_target_imports_what_is_written_for_it(case: str) -> None:
    gm, _, _ = captured(case)
    for target in map(load_target, TARGETS):
        own = g.copy_graph(gm)
        assert not run_pass(SubstituteOperators(rules_for(target.opset, target.lacks, target.tensorrt)), own).rejects
        model = lower(own, opset=target.opset)
        assert [str(finding) for finding in blocking(check_target(model, target))] == []


def test_an_error_tells_why_a_rule_did_not_help() -> None:
    sides = {2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}
    call = CASES["antialiased, smaller"][1]
    gm = ir(Fn(call), torch.randn(1, 3, 8, 8), dynamic=((sides,),))
    with pytest.raises(UnsupportedByTarget, match="not substituted, since it resizes .* export with fixed height"):
        deploy(gm, load_target("nano"), 13, ())


def test_no_rule_replaces_a_grid_sample() -> None:
    image, grid = torch.randn(1, 2, 4, 4), torch.rand(1, 3, 3, 2)
    gm = ir(Fn(lambda x, y: F.grid_sample(x, y, align_corners=False)), image, grid)
    (problem,) = can_lower(gm, 13)
    assert problem.reason == (
        "has an ONNX form from opset 16 on; no substitution avoids it, so choose a target that reads that opset"
    )


@cache
def captured(case: str) -> tuple[fx.GraphModule, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The graph of a case, inputs, and what it computes in float64."""
    call, inputs = CASES[case][1:] if case in CASES else PLAIN[case]
    gm = ir(module(call), *inputs)
    return gm, inputs, outputs(gm, inputs)


@pytest.mark.parametrize(
    ("case", "opset"),
    [(case, v) for case, (name, _, _) in CASES.items() for v in OPSETS if v in (11, 13) or name in rules_for(v)],
)
def test_what_a_rule_writes_can_be_lowered_and_run(case: str, opset: int) -> None:
    gm, inputs, expected = captured(case)
    gm = g.copy_graph(gm)
    run_pass(SubstituteOperators((CASES[case][0],)), gm)
    assert can_lower(gm, opset) == []
    assert relative_error(expected, run(gm, opset, inputs)) < 2e-5


@pytest.mark.parametrize("case", CASES)
def test_where_an_opset_has_the_operator_it_gives_the_same(case: str) -> None:
    gm, inputs, expected = captured(case)
    assert relative_error(expected, run(gm, 20, inputs)) < 2e-5


def run(gm: fx.GraphModule, opset: int, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What onnxruntime makes of the lowered graph, floats as float64."""
    session = session_of(gm, opset)
    named = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
    found = [torch.from_numpy(np.asarray(value)) for value in session.run(None, named)]
    return tuple(value.double() if value.is_floating_point() else value for value in found)


def session_of(gm: fx.GraphModule, opset: int, path: str = "") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level, options.optimized_model_filepath = 1, 3, path
    return ort.InferenceSession(lower(gm, opset=opset).SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("case", "kind"), [("layer norm", "LayerNormalization"), ("gelu", "Gelu")])
def test_the_runtime_recognises_what_was_taken_apart(case: str, kind: str, tmp_path: Path) -> None:
    assert kinds_after_optimisation(case, tmp_path) == [kind]


def test_the_runtime_recognises_a_layer_norm_of_channels(tmp_path: Path) -> None:
    assert "LayerNormalization" in kinds_after_optimisation("layer norm of channels", tmp_path)


def kinds_after_optimisation(case: str, folder: Path) -> list[str]:
    """The operators that onnxruntime makes of a case, replaced and lowered to opset 13."""
    name, call, inputs = CASES[case]
    gm = ir(module(call), *inputs)
    run_pass(SubstituteOperators((name,)), gm)
    session_of(gm, 13, str(folder / "optimised.onnx"))
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]
