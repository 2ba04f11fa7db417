"""Fewest nodes: what merges while it is written, and what must not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lowering_kit import Fn, agree, capture, checked, kinds, values, write

X = values(2, 6, 8, 10)
TOKENS = values(2, 9, 8)


def attention(x: Any) -> Any:
    q, k, v = x.reshape(2, 9, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 9, 8)


MERGED: dict[str, tuple[Callable[..., Any], dict[str, int]]] = {
    "transposes": (lambda x: x.permute(0, 2, 3, 1).transpose(1, 2).relu(), {"Transpose": 1, "Relu": 1}),
    "transposes that cancel": (lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).relu(), {"Relu": 1}),
    "reshapes": (lambda x: x.flatten(2).unsqueeze(1).reshape(4, 3, 80).relu(), {"Reshape": 1, "Relu": 1}),
    "reshapes that cancel": (lambda x: x.flatten(2).reshape(2, 6, 8, 10).relu(), {"Relu": 1}),
    "slices of several axes": (lambda x: x[:, 1:3, 2:, ::2], {"Slice": 1}),
    "whole slices": (lambda x: x[:, :, 0:8].relu(), {"Relu": 1}),
    "zero pad before conv": (lambda x: F.conv2d(F.pad(x, (1, 2, 0, 1)), torch.ones(2, 6, 3, 3)), {"Conv": 1}),
    "pad of a number before conv": (
        lambda x: F.conv2d(F.pad(x, (1, 2, 0, 1), value=1.0), torch.ones(2, 6, 3, 3)),
        {"Pad": 1, "Conv": 1},
    ),
    "channel pad before conv": (
        lambda x: F.conv2d(F.pad(x, (0, 0, 0, 0, 1, 1)), torch.ones(2, 8, 3, 3)),
        {"Pad": 1, "Conv": 1},
    ),
    "pad of -inf before max pool": (
        lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3),
        {"MaxPool": 1},
    ),
    "zero pad of positive values before max pool": (
        lambda x: F.max_pool2d(F.pad(x.relu(), (1, 1, 1, 1)), 3),
        {"Relu": 1, "MaxPool": 1},
    ),
    "zero pad before max pool": (lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3), {"Pad": 1, "MaxPool": 1}),
    "zero pad before average pool": (lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3), {"AveragePool": 1}),
    "zero pad before average pool that excludes it": (
        lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, padding=1, count_include_pad=False),
        {"Pad": 1, "AveragePool": 1},
    ),
    "pad used twice": (
        lambda x: (F.conv2d(p := F.pad(x, (1, 1, 1, 1)), torch.ones(2, 6, 3, 3)), p.relu()),
        {"Conv": 1, "Pad": 1, "Relu": 1},
    ),
    "expand before arithmetic": (lambda x: x * x[:, :1].expand(-1, 6, -1, -1), {"Slice": 1, "Mul": 1}),
    "normalize": (lambda x: F.normalize(x, dim=1), {"ReduceL2": 1, "Clip": 1, "Div": 1}),
    "global mean": (lambda x: x.mean((2, 3), keepdim=True), {"GlobalAveragePool": 1}),
    "mean of positions": (lambda x: x.mean((2, 3)), {"ReduceMean": 1}),
    "silu": (lambda x: F.silu(x), {"Sigmoid": 1, "Mul": 1}),
    "relu6": (lambda x: F.relu6(x), {"Clip": 1}),
    "casts to the same type": (lambda x: x.float().to(torch.float32).relu(), {"Relu": 1}),
    "constants": (lambda x: x + torch.arange(10).float().sqrt().reshape(1, 1, 1, 10), {"Add": 1}),
    "full of the shape of an input": (
        lambda x: x * x.new_zeros(8, 10).masked_fill(torch.eye(8, 10) > 0, 2),
        {"Mul": 1},
    ),
    "uneven adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, (3, 7)), {"MatMul": 2}),
    "axes dropped and put back": (lambda x: x / x.sum(1).unsqueeze(1), {"ReduceSum": 1, "Div": 1}),
    "axes dropped for another user": (
        lambda x: (x / (s := x.sum(1)).unsqueeze(1), s),
        {"ReduceSum": 1, "Unsqueeze": 1, "Div": 1},
    ),
    "transpose of axes of size 1": (
        lambda x: x.reshape(1, 1, 8, 120).transpose(1, 2).relu().transpose(1, 2).reshape(8, 120),
        {"Reshape": 2, "Relu": 1},
    ),
    "roll": (lambda x: x.roll((1, 2), (2, 3)), {"Split": 2, "Concat": 2}),
}


@pytest.mark.parametrize("name", MERGED)
def test_merges(name: str) -> None:
    call, expected = MERGED[name]
    module = Fn(call)
    model = checked(write(capture(module, [X])))
    assert kinds(model) == expected
    agree(module, model, [X])


def test_linear_is_one_gemm() -> None:
    model = write(capture(nn.Linear(8, 4), [values(3, 8)]))
    (node,) = model.graph.node
    assert (node.op_type, [a.name for a in node.attribute]) == ("Gemm", ["transB"])


def test_linear_over_tokens_is_a_product_and_a_sum() -> None:
    layer = nn.Linear(8, 4)
    model = write(capture(layer, [TOKENS]))
    assert kinds(model) == {"MatMul": 1, "Add": 1}
    assert list(model.graph.initializer[0].dims) == [8, 4]
    agree(layer, model, [TOKENS])


def test_a_zero_bias_adds_nothing() -> None:
    layer = nn.Linear(8, 4)
    nn.init.zeros_(layer.bias)
    model = write(capture(layer, [TOKENS]))
    assert kinds(model) == {"MatMul": 1}
    agree(layer, model, [TOKENS])


def test_linear_between_reshapes_is_one_gemm() -> None:
    module = Fn(lambda layer, x: layer(x.reshape(6, 3, 8)).reshape(2, 9, 2, 2), nn.Linear(8, 4))
    model = checked(write(capture(module, [TOKENS])))
    assert kinds(model) == {"Reshape": 2, "Gemm": 1}
    agree(module, model, [TOKENS])


def test_attention_has_few_nodes() -> None:
    module = Fn(lambda layer, x: attention(layer(x)), nn.Linear(8, 24))
    model = checked(write(capture(module, [TOKENS])))
    expected = {"MatMul": 3, "Add": 1, "Reshape": 2, "Transpose": 3, "Gather": 3, "Mul": 1, "Softmax": 1}
    assert kinds(model) == expected
    agree(module, model, [TOKENS])


def test_a_transposed_weight_used_twice_is_stored_once() -> None:
    module = Fn(lambda layer, x: layer(layer(x)), nn.Linear(8, 8, bias=False))
    model = write(capture(module, [TOKENS]))
    assert len(model.graph.initializer) == 1
    agree(module, model, [TOKENS])


def test_max_pool_of_a_zero_pad_is_not_merged_by_onnxruntime() -> None:
    """onnxruntime takes a zero pad in front of a max pool for one of -inf; the written filler keeps it from that."""
    module = Fn(lambda x: F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3))
    x = -values(1, 2, 7, 7).abs() - 1
    model = write(capture(module, [x]))
    agree(module, model, [x])
