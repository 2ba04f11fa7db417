"""Arithmetic and reductions of every spelling become one call each."""

from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number, wrap, wrap_all
from nascc.passes.edit import Edit

aten = torch.ops.aten

TENSOR_FORM: dict[Any, Any] = {
    aten.add.Scalar: aten.add.Tensor,
    aten.sub.Scalar: aten.sub.Tensor,
    aten.mul.Scalar: aten.mul.Tensor,
    aten.div.Scalar: aten.div.Tensor,
    aten.subtract.Tensor: aten.sub.Tensor,
    aten.subtract.Scalar: aten.sub.Tensor,
    aten.multiply.Tensor: aten.mul.Tensor,
    aten.multiply.Scalar: aten.mul.Tensor,
    aten.divide.Tensor: aten.div.Tensor,
    aten.divide.Scalar: aten.div.Tensor,
    aten.true_divide.Tensor: aten.div.Tensor,
    aten.true_divide.Scalar: aten.div.Tensor,
}

OVER_DIMS: dict[str, Any] = {
    "mean": aten.mean.dim,
    "sum": aten.sum.dim_IntList,
    "amax": aten.amax.default,
    "amin": aten.amin.default,
    "max": aten.amax.default,
    "min": aten.amin.default,
}


def tensor_form(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """add.Scalar(x, 2) -> add.Tensor(x, 2), and the like; alpha kept only when it is not 1."""
    target = TENSOR_FORM.get(node.target, node.target)
    alpha = a.get("alpha", 1)
    options = {} if alpha is None or (is_number(alpha) and alpha == 1) else {"alpha": alpha}
    if target is node.target and options == node.kwargs and len(node.args) == 2:
        return None
    return edit.call(target, a["self"], a["other"], **options)


def reversed_sub(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """rsub(x, y) -> sub(y, x) for a tensor y."""
    return edit.call(aten.sub.Tensor, a["other"], a["self"]) if a.get("alpha", 1) == 1 else None


def over_dims(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """mean, sum, amax, amin, var, std with dimensions listed from the front; all of them where none is given."""
    x = a["self"]
    rank = len(g.shape(x))
    dims = wrap_all(a.get("dim"), rank)
    name = str(node.target).split(".")[1]
    keep = bool(a.get("keepdim", False))
    target = OVER_DIMS[name]
    if node.target is target and list(node.args[1:]) == [dims, keep] and not node.kwargs:
        return None
    new = edit.call(target, _in_dtype(edit, node, x, a), dims, keep)
    new.meta["dtype"] = g.dtype(node)
    return new


def _in_dtype(edit: Edit, node: Node, x: Node, a: dict[str, Any]) -> Node:
    """x, cast first when the reduction asks for another dtype."""
    if a.get("dtype") is None or a["dtype"] == g.value(x).dtype:
        return x
    new = edit.call(aten._to_copy.default, x, dtype=a["dtype"])
    new.meta["dtype"] = a["dtype"]
    return new


def spread(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """var, std of every spelling -> var.correction(x, dims, correction=, keepdim=)."""
    dims = wrap_all(a.get("dim"), len(g.shape(a["self"])))
    correction = a["correction"] if "correction" in a else int(a.get("unbiased", True))
    correction = 1 if correction is None else correction
    target: Any = aten.std.correction if ".std" in str(node.target) else aten.var.correction
    options: dict[str, Any] = {"correction": correction, "keepdim": bool(a.get("keepdim", False))}
    if node.target is target and list(node.args[1:]) == [dims] and node.kwargs == options:
        return None
    return edit.call(target, a["self"], dims, **options)


def softmax(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """softmax, log_softmax of every spelling -> softmax.int(x, dim), cast first where a dtype is asked for."""
    target: Any = aten.log_softmax.int if "log" in str(node.target) else aten.softmax.int
    dim = wrap(a["dim"], len(g.shape(a["self"])))
    if node.target is target and list(node.args[1:]) == [dim] and not node.kwargs:
        return None
    new = edit.call(target, _in_dtype(edit, node, a["self"], a), dim)
    new.meta["dtype"] = g.dtype(node)
    return new


def relu6(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """relu6(x) -> hardtanh(x, 0, 6); hardtanh with both limits spelled out."""
    low, high = (0.0, 6.0) if node.target is aten.relu6.default else (a["min_val"], a["max_val"])
    call = (a["self"], low, high)
    return None if tuple(node.args) == call else edit.call(aten.hardtanh.default, *call)


ARITHMETIC: dict[Any, Any] = {
    **dict.fromkeys([*TENSOR_FORM, aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor], tensor_form),
    aten.rsub.Tensor: reversed_sub,
    **dict.fromkeys(
        [aten.mean.default, aten.mean.dim, aten.sum.default, aten.sum.dim_IntList, aten.amax.default, aten.amin.default]
        + [aten.max.default, aten.min.default],
        over_dims,
    ),
    **dict.fromkeys([aten.var.default, aten.var.dim, aten.var.correction, aten.std.default, aten.std.dim], spread),
    aten.std.correction: spread,
    **dict.fromkeys(
        [aten.softmax.int, aten._softmax.default, aten.log_softmax.int, aten._log_softmax.default], softmax
    ),
    aten.relu6.default: relu6,
    aten.hardtanh.default: relu6,
}
