"""The target's latency model as a cost over linear operators, and in the report."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nascc.compiler.capture import capture
from nascc.compiler.costs import kernel_of, target_cost
from nascc.compiler.estimates import estimated_latency
from nascc.passes import FoldBatchNorm, run_pass
from nascc.passes import graph as g
from nascc.passes.linear.description import LinearOp
from nascc.runtime.errors import NotCalibrated
from nascc.runtime.latency import kernel_ms, setting_of
from nascc.runtime.profile import load_target


def conv(c_in: int, c_out: int, k: int = 1, groups: int = 1, size: int = 14) -> LinearOp:
    return LinearOp(
        "conv", c_in, c_out, (size, size), (size, size), (k, k), (1, 1), ((k // 2, k // 2),) * 2, (1, 1), groups, True
    )


BLOCK = (conv(24, 144), conv(144, 144, 3, 144), conv(144, 24), LinearOp("add", 24, 24, (14, 14), (14, 14)))


@pytest.mark.parametrize("name", ["nano", "tx2", "xavier-nx", "xavier", "orin-nano", "orin-nx", "orin"])
def test_a_linear_block_is_dearer_than_one_convolution(name: str) -> None:
    cost = target_cost(load_target(name))
    assert cost(BLOCK) > cost((conv(24, 24, 3),)) > 0
    assert cost(BLOCK) == pytest.approx(sum(cost((op,)) for op in BLOCK))


@pytest.mark.parametrize("name", ["nano", "xavier", "orin"])
def test_a_narrow_bottleneck_is_kept(name: str) -> None:
    cost = target_cost(load_target(name))
    assert cost((conv(2048, 128, size=28), conv(128, 2048, size=28))) < cost((conv(2048, 2048, size=28),))


def test_a_cost_is_the_time_of_the_kernel() -> None:
    board = load_target("nano")
    kernel = kernel_of(conv(24, 144))
    assert kernel is not None and kernel.kind == "pointwise" and kernel.weights == 24 * 144 + 144
    assert target_cost(board)((conv(24, 144),)) == kernel_ms(kernel, board, setting_of(board))
    assert target_cost(board, "5w")((conv(24, 144),)) > target_cost(board)((conv(24, 144),))


def test_a_tail_and_a_residual_run_within_the_kernel() -> None:
    cost = target_cost(load_target("xavier"))
    assert cost((replace(conv(24, 24, 3), tail=("add", "relu")),)) == cost((conv(24, 24, 3),))
    add = LinearOp("add", 24, 24, (14, 14), (14, 14))
    assert 0 < cost((add,)) < cost((LinearOp("per_channel", 24, 24, (14, 14), (14, 14)),)) / 2


@pytest.mark.parametrize("kind", ["pad", "flatten"])
def test_what_costs_nothing(kind: str) -> None:
    assert target_cost(load_target("nano"))((LinearOp(kind, 8, 8, (4, 4), (4, 4)),)) == 0


@pytest.mark.parametrize(
    ("op", "macs"),
    [
        (LinearOp("linear", 8, 4, (), (), batch=3, bias=True), 96),
        (LinearOp("conv_transposed", 8, 4, (5, 5), (10, 10), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1), 2), 25 * 64),
        (conv(8, 8, 3, 8), 196 * 72),
    ],
)
def test_kernels_multiply_as_often_as_their_operators(op: LinearOp, macs: int) -> None:
    kernel = kernel_of(op)
    assert kernel is not None and kernel.macs == op.macs == macs and kernel.weights == op.params


def test_a_target_without_coefficients_has_no_cost() -> None:
    with pytest.raises(NotCalibrated):
        target_cost(load_target("cuda"))


def test_the_report_tells_before_and_after() -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.MaxPool2d(2), nn.BatchNorm2d(16)).eval()
    before = capture(network, torch.randn(1, 3, 16, 16)).gm
    after = g.copy_graph(before)
    run_pass(FoldBatchNorm(), after)
    found = estimated_latency(before, after, load_target("nano"))
    assert found is not None and found.kind == "estimated" and found.before_ms is not None and found.ratio is not None
    assert found.median_ms < found.before_ms and found.ratio > 1
    assert found.calibration is not None and found.calibration.startswith("nano, fp16, maxn: rests on 17 networks")
    assert estimated_latency(before, after, load_target("cuda")) is None
