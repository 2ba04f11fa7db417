"""Convolutions of every rank and spelling, linear layers and batch norms become one call each."""

from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import full
from nascc.passes.edit import Edit

aten = torch.ops.aten


def convolution(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """convNd(x, w, b, ...) -> convolution(x, w, b, stride, padding, dilation, False, 0, groups)."""
    return _convolve(edit, a, full(a["padding"], _rank(a)), transposed=False)


def padded_by_name(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """conv(padding="same" | "valid") -> convolution, behind an explicit zero pad where the sides differ."""
    n = _rank(a)
    if a["padding"] == "valid":
        return _convolve(edit, a, [0] * n, transposed=False)
    kernel, dilation = g.shape(a["weight"])[2:], full(a["dilation"], n)
    total = [d * (int(k) - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        sides = [s for t in reversed(total) for s in (t // 2, t - t // 2)]
        a = a | {"input": edit.call(aten.constant_pad_nd.default, a["input"], sides, 0.0)}
        return _convolve(edit, a, [0] * n, transposed=False)
    return _convolve(edit, a, [t // 2 for t in total], transposed=False)


def transposed(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """conv_transposeNd(x, w, b, ...) -> convolution(..., transposed=True, ...)."""
    return _convolve(edit, a, full(a["padding"], _rank(a)), transposed=True)


def general(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """convolution and _convolution with short lists -> full lists."""
    n = _rank(a)
    if node.target is aten.convolution.default and all(
        len(a[k]) == n for k in ("stride", "padding", "dilation", "output_padding")
    ):
        return None
    return _convolve(edit, a, full(a["padding"], n), transposed=a["transposed"])


def _rank(a: dict[str, Any]) -> int:
    return len(g.shape(a["weight"])) - 2


def _convolve(edit: Edit, a: dict[str, Any], padding: list[int], *, transposed: bool) -> Node:
    n, x = _rank(a), a["input"]
    unbatched = len(g.shape(x)) == n + 1
    if unbatched:
        x = edit.call(aten.unsqueeze.default, x, 0)
    extra = full(a.get("output_padding") or 0, n) if transposed else [0] * n
    options = (full(a["stride"], n), padding, full(a["dilation"], n), transposed, extra, a["groups"])
    out = edit.call(aten.convolution.default, x, a["weight"], a["bias"], *options)
    return edit.call(aten.squeeze.dims, out, [0]) if unbatched else out


def addmm(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """addmm(b, x, w.T) -> linear(x, w, b) for constants; otherwise add(b, matmul(x, y)) with its factors."""
    weight = _untransposed(a["mat2"])
    if a["beta"] == 1 and a["alpha"] == 1 and weight is not None and g.is_constant(a["self"]) and _is_row(a["self"]):
        return edit.call(aten.linear.default, a["mat1"], weight, a["self"])
    return _scaled_sum(edit, a, edit.call(aten.matmul.default, a["mat1"], a["mat2"]))


def baddbmm(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """baddbmm(b, x, y) -> add(b, matmul(x, y)) with its factors."""
    return _scaled_sum(edit, a, edit.call(aten.matmul.default, a["batch1"], a["batch2"]))


def mm(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """mm(x, w.T) -> linear(x, w) for a constant; mm, bmm, mv, dot -> matmul."""
    x, y = node.args[:2]
    if node.target is aten.mm.default and (weight := _untransposed(y)) is not None:
        return edit.call(aten.linear.default, x, weight, None)
    return edit.call(aten.matmul.default, x, y)


def _untransposed(node: Any) -> Node | None:
    """w, when the value is the 2-D constant w transposed."""
    if g.is_call(node, aten.t.default, aten.permute.default, aten.transpose.int) and g.is_constant(node.args[0]):
        source: Node = node.args[0]
        is_swap = g.shape(source) == g.shape(node)[::-1] and len(g.shape(node)) == 2
        return source if is_swap and list(node.args[1:]) in ([], [[1, 0]], [0, 1], [1, 0]) else None
    return None


def _is_row(node: Node) -> bool:
    return len(g.shape(node)) == 1


def _scaled_sum(edit: Edit, a: dict[str, Any], product: Node) -> Node:
    if a["alpha"] != 1:
        product = edit.call(aten.mul.Tensor, product, a["alpha"])
    if a["beta"] == 0:
        return product
    addend = a["self"] if a["beta"] == 1 else edit.call(aten.mul.Tensor, a["self"], a["beta"])
    return edit.call(aten.add.Tensor, addend, product)


def batch_norm_result(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """Item 0 of a decomposed inference batch norm -> batch_norm(x, w, b, mean, var, False, momentum, eps, False)."""
    users = list(node.users)
    if any(u.args[1] != 0 for u in users if g.is_call(u)):
        return None
    train = a.get("training", a.get("train", False))
    mean, var = a.get("running_mean"), a.get("running_var")
    call = (a["input"], a["weight"], a["bias"], mean, var, train, a["momentum"], a["eps"], False)
    out = edit.call(aten.batch_norm.default, *call)
    for user in users:
        user.replace_all_uses_with(out)
        node.graph.erase_node(user)
    return out


CONVOLUTIONS: dict[Any, Any] = {
    aten.conv1d.default: convolution,
    aten.conv2d.default: convolution,
    aten.conv3d.default: convolution,
    aten.conv1d.padding: padded_by_name,
    aten.conv2d.padding: padded_by_name,
    aten.conv3d.padding: padded_by_name,
    aten.conv_transpose1d.default: transposed,
    aten.conv_transpose2d.input: transposed,
    aten.conv_transpose3d.input: transposed,
    aten.convolution.default: general,
    aten._convolution.default: general,
    aten.addmm.default: addmm,
    aten.baddbmm.default: baddbmm,
    aten.mm.default: mm,
    aten.bmm.default: mm,
    aten.mv.default: mm,
    aten.dot.default: mm,
    aten._native_batch_norm_legit_no_training.default: batch_norm_result,
    aten._native_batch_norm_legit.no_stats: batch_norm_result,
    aten.native_batch_norm.default: batch_norm_result,
}
