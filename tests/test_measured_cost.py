"""The cost that times operators: its models, its arithmetic under a fake clock, and its memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from collapsible import built, c_bn, seq
from kit import check_pass
from nascc.compiler.collapse_costs import COLLAPSE_COSTS, collapse_cost
from nascc.compiler.errors import UsageError
from nascc.compiler.measured_cost import MeasuredCost, least_seconds, session_run
from nascc.compiler.operator_models import BUILDERS, example, neighbours_model, operator_model
from nascc.passes import CollapseLinear
from nascc.passes.linear.cost import flops
from nascc.passes.linear.description import CONVOLUTIONS, MOVES, LinearOp
from nascc.runtime.profile import load_target
from nascc.runtime.runners.onnx import OnnxRunner

IMAGE = LinearOp("conv", 4, 6, (8, 8), (8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), bias=True, batch=2)
SAME = LinearOp("add", 4, 4, (8, 8), (8, 8), batch=2)
POOL = replace(
    IMAGE, kind="average_pool", c_out=4, kernel=(2, 2), stride=(2, 2), out_size=(4, 4), padding=((0, 0),) * 2
)

OPERATORS: dict[str, LinearOp] = {
    "conv": IMAGE,
    "conv float16": replace(IMAGE, dtype="float16"),
    "conv 1d": LinearOp("conv", 4, 6, (9,), (4,), (3,), (2,), ((0, 0),), (1,)),
    "conv 3d": LinearOp("conv", 2, 4, (5, 5, 5), (5, 5, 5), (3,) * 3, (1,) * 3, ((1, 1),) * 3, (1,) * 3, bias=True),
    "conv grouped, uneven padding": replace(IMAGE, groups=2, padding=((0, 2), (2, 0)), dilation=(1, 1)),
    "conv then relu": replace(IMAGE, tail=("relu",)),
    "conv then clip": replace(IMAGE, tail=("clip",)),
    "conv then add": replace(IMAGE, tail=("add",)),
    "conv then add, silu": replace(IMAGE, tail=("add", "silu")),
    "conv of one channel": replace(IMAGE, c_in=1, c_out=1, size=(1, 1), out_size=(1, 1)),
    "conv_transposed": replace(
        IMAGE, kind="conv_transposed", kernel=(4, 4), stride=(2, 2), out_size=(16, 16), padding=((1, 1),) * 2
    ),
    "conv_transposed, output padding": replace(
        IMAGE, kind="conv_transposed", stride=(2, 2), out_size=(16, 16), padding=((1, 0),) * 2
    ),
    "linear": LinearOp("linear", 6, 5, (), (), batch=3, bias=True),
    "linear then gelu": LinearOp("linear", 6, 5, (), (), batch=3, tail=("gelu",)),
    "per_channel": replace(IMAGE, kind="per_channel", c_out=4, kernel=(1, 1), padding=((0, 0),) * 2, groups=4),
    "per_channel on vectors": LinearOp("per_channel", 6, 6, (), (), batch=3, bias=True),
    "subtract": replace(SAME, kind="subtract"),
    "add": SAME,
    "add of vectors": LinearOp("add", 6, 6, (), (), batch=3, tail=("relu",)),
    "add_map": replace(SAME, kind="add_map", tail=("hardswish",)),
    "add_tile": replace(SAME, kind="add_tile", tail=("leaky_relu",)),
    "average_pool": POOL,
    "average_pool, padded": replace(POOL, kernel=(3, 3), padding=((1, 1),) * 2),
    "average_pool, global": LinearOp("average_pool", 4, 4, (8, 8), (1, 1)),
    "average_pool, no window": LinearOp("average_pool", 4, 4, (8, 8), (4, 4), tail=("sigmoid",)),
    "upsample": replace(SAME, kind="upsample", out_size=(16, 24)),
    "cat_ones": replace(SAME, kind="cat_ones", c_out=5),
    "concat": replace(SAME, kind="concat"),
    "concat of one channel": replace(SAME, kind="concat", c_in=1, c_out=1),
    "pad": replace(SAME, kind="pad", out_size=(9, 11), padding=((1, 0), (1, 2))),
    "select": replace(SAME, kind="select", c_out=3),
    "pixel_shuffle": LinearOp("pixel_shuffle", 8, 2, (4, 4), (8, 8)),
    "pixel_unshuffle": LinearOp("pixel_unshuffle", 2, 8, (8, 8), (4, 4)),
    "flatten": LinearOp("flatten", 4, 64, (4, 4), ()),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_kind_runs(name: str) -> None:
    op = OPERATORS[name]
    models = [operator_model(op), *([model] if (model := neighbours_model(op)) else [])]
    for model in models:
        onnx.checker.check_model(model, full_check=True)
        with OnnxRunner(model, threads=1) as runner:
            found = runner.run(example(op))
            assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.parametrize("name", OPERATORS)
def test_output_has_the_described_shape(name: str) -> None:
    op = OPERATORS[name]
    model = operator_model(op)
    images = model.graph.node[-2].op_type == "MaxPool"
    value = model.graph.node[-2 if images else -1].input[0]
    with OnnxRunner(model, threads=1, optimize=False, expose=[value]) as runner:
        assert runner.run(example(op))[value].shape == (op.batch, op.c_out, *op.out_size)


def test_there_is_a_model_for_every_kind() -> None:
    known = {"per_channel", "average_pool", "upsample", "add", "add_map", "add_tile", "subtract"}
    assert set(BUILDERS) == {*CONVOLUTIONS, *MOVES} | known
    assert {op.kind for op in OPERATORS.values()} == set(BUILDERS)


class Clock:
    """Time that passes only while a model runs: as many seconds as it has nodes, times `slow`."""

    def __init__(self) -> None:
        self.now, self.slow, self.loaded = 0.0, 1.0, 0
        self.order: list[int] = []

    def __call__(self) -> float:
        return self.now

    def load(self, model: ModelProto, feed: dict[str, Any], threads: int) -> Callable[[], None]:
        self.loaded += 1
        nodes = len(model.graph.node)

        def run() -> None:
            self.order.append(nodes)
            self.now += nodes * self.slow

        return run


def timed(**options: Any) -> tuple[MeasuredCost, Clock]:
    clock = Clock()
    return MeasuredCost(rounds=3, load=clock.load, clock=clock, **options), clock


def test_an_operator_costs_what_it_adds_to_its_neighbours() -> None:
    cost, _ = timed()
    assert cost((IMAGE,)) == pytest.approx(1e3)
    assert cost((replace(IMAGE, tail=("relu",)),)) == pytest.approx(2e3)
    assert cost((LinearOp("linear", 6, 5, (), (), bias=True),)) == pytest.approx(2e3)
    assert cost((IMAGE, SAME)) == pytest.approx(cost((IMAGE,)) + cost((SAME,)))
    assert cost(()) == 0


def test_a_slower_machine_costs_the_same() -> None:
    cost, clock = timed()
    cost((IMAGE,))
    clock.slow = 7.0
    assert cost((replace(IMAGE, c_out=9),)) == pytest.approx(1e3)


def test_every_round_runs_all_and_the_fastest_counts() -> None:
    clock, order = Clock(), []
    took = {"a": iter([9.0, 3.0, 1.0, 2.0]), "b": iter([9.0, 5.0, 6.0, 4.0])}

    def run(name: str, seconds: Iterator[float]) -> None:
        order.append(name)
        clock.now += next(seconds)

    runs = [lambda name=name, seconds=seconds: run(name, seconds) for name, seconds in took.items()]
    assert least_seconds(runs, 3, clock) == [1.0, 4.0]
    assert order == ["a", "b"] * 4


def test_nothing_is_measured_twice() -> None:
    cost, clock = timed()
    first = cost((IMAGE, SAME, IMAGE))
    loaded = clock.loaded
    assert loaded == 5  # the anchor, and each operator with its neighbours
    assert (cost((IMAGE, SAME, IMAGE)), clock.loaded) == (first, loaded)


def test_a_border_that_is_added_is_no_tail() -> None:
    cost, _ = timed()
    border = replace(SAME, kind="add_map", c_in=6, c_out=6, tail=("clip",))
    assert cost((replace(IMAGE, tail=("add", "clip")), border)) == pytest.approx(cost((IMAGE,)) + cost((border,)))


def test_sessions_take_the_threads() -> None:
    given = []

    def load(model: ModelProto, feed: dict[str, Any], threads: int) -> Callable[[], None]:
        given.append(threads)
        return session_run(model, feed, threads)

    assert MeasuredCost(threads=2, rounds=1, load=load)((SAME,)) > 0
    assert set(given) == {2}


def test_it_decides_what_collapses() -> None:
    import torch

    model = built(lambda: seq(c_bn(8, 24, 1), c_bn(24, 8, 3)))
    cost, _ = timed()
    check_pass(CollapseLinear(cost=cost), model, torch.randn(1, 8, 6, 6))
    assert cost.known_ms


def test_costs_by_name() -> None:
    cpu = load_target("cpu")
    assert collapse_cost("flops", cpu) is flops
    assert collapse_cost("target", load_target("cuda")) is flops
    assert collapse_cost("target", load_target("nano")) is not flops
    assert isinstance(collapse_cost("measured", cpu), MeasuredCost)
    assert collapse_cost(flops, cpu) is flops
    with pytest.raises(UsageError, match=f"one of {', '.join(COLLAPSE_COSTS)}, got 'time'"):
        collapse_cost("time", cpu)
