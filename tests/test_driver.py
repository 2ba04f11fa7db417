"""The driver: fixed points, dead code, names, provenance, order."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.fx import Node

from kit import ir, operators, randomised
from nascc.passes import (
    PASSES,
    Edit,
    FoldBatchNorm,
    PassError,
    PipelineError,
    Reject,
    RewritePass,
    default_pipeline,
    parse_pipeline,
    run_pass,
    run_pipeline,
    without,
)
from nascc.passes import graph as g
from nascc.passes.base import GraphPass, handed_in

aten = torch.ops.aten
X = torch.randn(1, 4, 6, 6)


@dataclass(frozen=True)
class Halve(RewritePass[Node]):
    """relu(x) -> sigmoid(x); refuses tanh."""

    limit: int = 3
    cost: object = handed_in(default=None)

    def match(self, node: Node) -> Node | Reject | None:
        if g.is_call(node, aten.tanh.default):
            return Reject(node, "is a tanh")
        return node.args[0] if g.is_call(node, aten.relu.default) else None  # type: ignore[return-value]

    def rewrite(self, edit: Edit, found: Node) -> Node:
        return edit.call(aten.sigmoid.default, found)


@dataclass(frozen=True)
class Forever(Halve):
    """Rewrites its own result."""

    def match(self, node: Node) -> Node | Reject | None:
        return node.args[0] if g.is_call(node, aten.relu.default) else None  # type: ignore[return-value]

    def rewrite(self, edit: Edit, found: Node) -> Node:
        return edit.call(aten.relu.default, found)


@dataclass(frozen=True)
class After(Halve):
    """Runs after Halve."""

    runs_after = (Halve,)


def test_rewrites_report_and_rejects() -> None:
    gm = ir(nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU()), X)
    result = run_pass(Halve(), gm)
    assert [r.sources for r in result.rewrites] == [("0",), ("2",)]
    assert [r.reason for r in result.rejects] == ["is a tanh"]
    assert operators(gm) == {"aten.sigmoid.default": 2, "aten.tanh.default": 1}


def test_a_pass_without_a_fixed_point_is_an_error() -> None:
    with pytest.raises(PassError, match="fixed point"):
        run_pass(Forever(), ir(nn.ReLU(), X))


def test_new_constants_take_the_names_of_dead_ones() -> None:
    gm = ir(randomised(nn.Sequential(nn.Conv2d(4, 4, 3, bias=False), nn.BatchNorm2d(4))), X)
    run_pass(FoldBatchNorm(), gm)
    assert sorted(name for name, _ in g.constants(gm)) == ["0.bias", "0.weight"]
    assert g.unused_constants(gm) == []


def test_order_is_checked_and_all_violations_are_told() -> None:
    gm = ir(nn.ReLU(), X)
    with pytest.raises(PipelineError, match="After must run after Halve"):
        run_pipeline((After(), Halve()), gm)
    run_pipeline((Halve(), After()), gm)
    assert [type(p) for p in default_pipeline((After, Halve))] == [Halve, After]


def test_a_circle_is_told() -> None:
    @dataclass(frozen=True)
    class First(Halve):
        """One."""

    @dataclass(frozen=True)
    class Second(Halve):
        """Two."""

        runs_after = (First,)

    First.runs_after = (Second,)
    with pytest.raises(PipelineError, match="circle"):
        default_pipeline((First, Second))


def test_pipelines_are_read_from_text() -> None:
    assert parse_pipeline("Halve, After(limit=7)", (Halve, After)) == (Halve(), After(limit=7))
    assert parse_pipeline("", (Halve,)) == ()
    assert without((Halve(), After()), ["After"], (Halve, After)) == (Halve(),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Halv", "did you mean Halve"),
        ("Halve(cost=1)", "options"),
        ("Halve(limit=open('x'))", "literal"),
        ("Halve(3)", "named options"),
        ("Halve(", "must read like"),
        ("__import__('os')", "named options"),
    ],
)
def test_bad_pipelines_are_told(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse_pipeline(text, (Halve,))


def test_handed_in_fields_are_no_options() -> None:
    assert Halve(cost=object()) == Halve()
    assert Halve().options() == {"limit": 3}


def test_the_verifier_sees_broken_graphs() -> None:
    gm = ir(randomised(nn.Conv2d(4, 4, 3)), X)
    g.delete_constant(gm, "weight")
    with pytest.raises(PassError, match="'weight', which does not exist"):
        g.check_graph(gm)
    gm = ir(nn.ReLU(), X)
    next(n for n in gm.graph.nodes if n.op == "call_function").meta.pop("val")
    with pytest.raises(PassError, match="no recorded shape"):
        g.check_graph(gm)
    gm = ir(nn.ReLU(), X)
    other = g.copy_graph(gm)
    gm.graph.owning_module = other
    with pytest.raises(PassError, match="belongs to another module"):
        g.check_graph(gm)


def test_every_pass_in_the_table_is_a_known_kind() -> None:
    assert all(issubclass(cls, (RewritePass, GraphPass)) for cls in PASSES)
    assert len({cls.__name__ for cls in PASSES}) == len(PASSES)
