"""Substitution rules: each writes the same function in other operators, or says why it can not."""

import string
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from kit import check_pass, ir, operators, outputs, relative_error
from nascc.passes import Numerics, PipelineError, SubstituteOperators, run_pass
from nascc.passes import graph as g
from nascc.passes.canonical.vocabulary import VOCABULARY
from nascc.passes.substitute import RULES
from substitute_cases import (
    CASES,
    WHOLE,
    A,
    B,
    Fn,
    K,
    Q,
    V,
    X,
    attended,
    einsum,
    fold,
    grouped,
    module,
    normed,
    resized,
)

ANY_BATCH: dict[int, Any] = {0: torch.export.Dim("batch")}
LENGTH = torch.export.Dim("length", min=4)
SIDES: dict[int, Any] = {2: torch.export.Dim("h", min=4), 3: torch.export.Dim("w", min=4)}


@pytest.mark.parametrize("case", CASES)
def test_replaces(case: str) -> None:
    name, call, inputs = CASES[case]
    result = check_pass(SubstituteOperators((name,)), module(call), *inputs, rewrites=1)
    assert not result.rejects


@pytest.mark.parametrize("case", CASES)
def test_only_known_operators_remain(case: str) -> None:
    name, call, inputs = CASES[case]
    gm = ir(module(call), *inputs)
    before = g.copy_graph(gm)
    run_pass(SubstituteOperators((name,)), gm)
    targets = {n.target for n in gm.graph.nodes if n.op == "call_function"}
    assert targets <= VOCABULARY
    assert not any(map(RULES[name].is_for, gm.graph.nodes))
    if RULES[name].numerics is Numerics.BITWISE:
        assert relative_error(outputs(before, inputs), outputs(gm, inputs)) == 0


def test_every_rule_has_a_case_and_a_specification() -> None:
    assert {name for name, _, _ in CASES.values()} == set(RULES)
    assert all("->" in rule.spec for rule in RULES.values())


DYNAMIC = (
    "hardswish", "mish", "gelu", "gelu, tanh", "layer norm", "layer norm of channels", "softshrink", "hardshrink",
    "xor of bits", "one hot", "antialiased, smaller", "cubic, by factors", "silu", "reciprocal", "reciprocal root",
    "upper triangle", "remainder", "bits turned", "group norm", "instance norm", "group norm written as instance norm",
    "attention", "attention, causal", "adaptive pool", "adaptive pool, mean", "windows",
)  # fmt: skip


@pytest.mark.parametrize("case", DYNAMIC)
def test_replaces_with_a_dynamic_batch(case: str) -> None:
    name, call, inputs = CASES[case]
    gm = ir(Fn(module(call)), *inputs, dynamic=((ANY_BATCH,) * len(inputs),))
    before = g.copy_graph(gm)
    assert len(run_pass(SubstituteOperators((name,)), gm).rewrites) == 1
    larger = [torch.cat([x, x.flip(0), x]) for x in inputs]
    assert relative_error(outputs(before, larger), outputs(gm, larger)) < 1e-10
    output = next(iter(gm.graph.find_nodes(op="output"))).args[0][0]
    assert not isinstance(g.shape(output)[0], int)


def test_a_layer_norm_of_channels_with_dynamic_sides_is_not_reshaped() -> None:
    gm = ir(Fn(CASES["layer norm of channels"][1]), X, dynamic=((SIDES,),))
    before = g.copy_graph(gm)
    assert run_pass(SubstituteOperators(("layer_norm",)), gm)
    assert "aten.reshape.default" not in operators(gm)
    wide = torch.cat([X, X], 3)
    assert relative_error(outputs(before, [wide]), outputs(gm, [wide])) < 1e-10


@pytest.mark.parametrize("equation", ["bij,bjk->bik", "bij,bkl->bikjl"])
def test_einsum_with_a_dynamic_batch(equation: str) -> None:
    gm = ir(Fn(einsum(equation)), A, B, dynamic=((ANY_BATCH, ANY_BATCH),))
    before = g.copy_graph(gm)
    assert run_pass(SubstituteOperators(("einsum",)), gm)
    larger = [torch.cat([x, x, x]) for x in (A, B)]
    assert relative_error(outputs(before, larger), outputs(gm, larger)) < 1e-10


REFUSED: dict[str, tuple[str, Callable[..., Any], tuple[Tensor, ...], Any, str]] = {
    "integer bits": ("logical_xor", lambda x: x ^ (x + 1), (WHOLE,), None, "bits of integers"),
    "width of 1": ("antialiased_resize", resized("bilinear", size=(4, 1), antialias=True), (X,), None, "width of 1"),
    "dynamic sides": (
        "antialiased_resize", resized("bilinear", size=4, antialias=True), (X,), ((SIDES,),), "fixed height and width",
    ),
    "three operands": ("einsum", lambda x: torch.einsum("ij,jk,kl->il", x, x, x), (torch.eye(3),), None, "must have 2"),
    "ellipsis": ("einsum", einsum("...i,i->..."), (A, A[0, 0]), None, "every dimension"),
    "diagonal": ("einsum", einsum("ii,i->i"), (torch.eye(3), A[0, :, 0]), None, "every dimension"),
    "repeated": ("einsum", einsum("ij,jk->ik"), (A[0, :, :1], B[0]), None, "size 1 to sum over"),
    "triangle, dynamic sides": ("triangle", torch.triu, (X,), ((SIDES,),), "must be fixed sizes"),
    "remainder of fractions": ("modulo", torch.fmod, (X, X + 20), None, "must be of integers"),
    "unsigned bits": ("bitwise_not", lambda x: ~x, (WHOLE.to(torch.uint8),), None, "must be signed"),
    "groups, dynamic sides": ("group_norm", grouped(2), (X,), ((SIDES,),), "one dynamic size at most"),
    "instances, dynamic sides": ("instance_norm", grouped(2), (X,), ((SIDES,),), "one dynamic size at most"),
    "pool, dynamic sides": (
        "adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, 3), (X,), ((SIDES,),), "fixed height and width",
    ),
    "attention at random": ("attention", attended(dropout_p=0.5), (Q, K, V), None, "at random"),
    "windows without batch": ("col2im", fold((9, 8), 3), (torch.randn(18, 42),), None, "must be [N, C, H, W]"),
    "past of dynamic length": (
        "attention", attended(is_causal=True), (Q, Q, Q), (({2: LENGTH}, {2: LENGTH}, {2: LENGTH}),), "as a tensor",
    ),
    "dynamic scale": ("attention", attended(), (Q, Q, Q), (({3: LENGTH}, {3: LENGTH}, None),), "pass scale="),
    "two dynamic sizes": (
        "einsum", einsum("bchw,cd->bdhw"), (X, torch.ones(6, 4)), (({2: SIDES[2], 3: SIDES[3]}, None),), "at most 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    name, call, inputs, dynamic, reason = REFUSED[case]
    gm = ir(Fn(call), *inputs, dynamic=dynamic)
    before = operators(gm)
    result = run_pass(SubstituteOperators((name,)), gm)
    assert not result
    assert [reason in r.reason for r in result.rejects] == [True]
    assert operators(gm) == before


LEFT: dict[str, tuple[str, Callable[..., Any], tuple[Tensor, ...]]] = {
    "other powers": ("reciprocal", lambda x: x.abs() ** -2, (X,)),
    "quotients of integers": ("modulo", lambda x: torch.div(x, 3, rounding_mode="trunc"), (WHOLE,)),
    "fractions rounded down": ("modulo", lambda x: (x % 3) + (x // 3), (X,)),
    "truths turned": ("bitwise_not", lambda x: ~(x > 0), (X,)),
    "infinite integers": ("is_inf", torch.isinf, (WHOLE,)),
    "running statistics": ("instance_norm", nn.InstanceNorm2d(6, track_running_stats=True), (X,)),
}


@pytest.mark.parametrize("case", LEFT)
def test_does_not_apply(case: str) -> None:
    name, call, inputs = LEFT[case]
    check_pass(SubstituteOperators((name,)), Fn(module(call)), *inputs, rewrites=0)


@given(
    before=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    after=st.lists(st.integers(1, 14), min_size=3, max_size=3),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_adaptive_pool_of_any_size(before: list[int], after: list[int]) -> None:
    pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[len(before) - 1]
    x = torch.randn(1, 2, *before)
    check_pass(SubstituteOperators(("adaptive_pool",)), Fn(lambda x: pool(x, after[: len(before)])), x)


@given(a=st.integers(-(2**40), 2**40), b=st.integers(-(2**20), 2**20).filter(bool))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_modulo_of_any_integers(a: int, b: int) -> None:
    x = torch.tensor([a, -a, a + b, a - b, b, -b, 0])
    check_pass(SubstituteOperators(("modulo",)), Fn(lambda x: (x % b, x // b, torch.fmod(x, b))), x, rewrites=3)


def test_replaces_nothing_without_rules() -> None:
    gm = ir(Fn(F.hardswish), X)
    assert not run_pass(SubstituteOperators(), gm)


def test_applies_several_rules_at_once() -> None:
    gm = ir(Fn(lambda x: F.layer_norm(F.gelu(x) + F.mish(x), (7,))), X)
    assert len(run_pass(SubstituteOperators(("mish", "layer_norm", "gelu")), gm).rewrites) == 3


def test_names_near_matches_of_unknown_rules() -> None:
    with pytest.raises(PipelineError, match="no substitution rule 'hardswish'; did you mean hard_swish"):
        SubstituteOperators(("hardswish",))


def test_half_precision_statistics_are_computed_in_float32() -> None:
    gm = ir(normed((7,)).half(), X.half())
    run_pass(SubstituteOperators(("layer_norm",)), gm)
    nodes = {str(n.target): g.dtype(n) for n in gm.graph.nodes if n.op == "call_function"}
    assert nodes["aten.mean.dim"] is torch.float32
    assert g.dtype(next(iter(gm.graph.find_nodes(op="output"))).args[0][0]) is torch.float16


def test_provenance_is_kept() -> None:
    gm = ir(nn.Sequential(nn.Hardswish(), normed((7,))), X)
    result = run_pass(SubstituteOperators(("layer_norm",)), gm)
    assert [r.sources for r in result.rewrites] == [("1",)]


@given(
    text=st.text("abcde", min_size=1, max_size=4).map(lambda s: "".join(dict.fromkeys(s))),
    other=st.text("abcde", min_size=1, max_size=4).map(lambda s: "".join(dict.fromkeys(s))),
    pick=st.integers(0, 2**5 - 1),
    order=st.permutations(range(5)),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_einsum_of_any_letters(text: str, other: str, pick: int, order: list[int]) -> None:
    size = dict(zip(string.ascii_lowercase, (2, 3, 4, 5, 1), strict=False))
    used = [c for c in "abcde" if c in text + other]
    result = "".join("abcde"[k] for k in order if "abcde"[k] in used and pick >> k & 1)
    inputs = [torch.randn([size[c] for c in letters]) for letters in (text, other)]
    gm = ir(Fn(einsum(f"{text},{other}->{result}")), *inputs)
    before = g.copy_graph(gm)
    assert not run_pass(SubstituteOperators(("einsum",)), gm).rejects
    assert relative_error(outputs(before, inputs), outputs(gm, inputs)) < 1e-10


@given(
    before=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    after=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    mode=st.sampled_from(["bilinear", "bicubic"]),
    antialias=st.booleans(),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_resize_of_any_size(before: tuple[int, int], after: tuple[int, int], mode: str, antialias: bool) -> None:
    x = torch.randn(1, 2, *before)
    gm = ir(Fn(resized(mode, size=after, antialias=antialias)), x)
    original = g.copy_graph(gm)
    result = run_pass(SubstituteOperators(("antialiased_resize", "cubic_resize")), gm)
    assert bool(result.rejects) == (antialias and after[1] == 1)
    assert relative_error(outputs(original, [x]), outputs(gm, [x])) < 1e-10
