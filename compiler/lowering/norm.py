"""Normalisation layers."""

from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary
from nascc.compiler.lowering.dtypes import cast, cast_all
from nascc.compiler.lowering.layout import reshape
from nascc.compiler.lowering.reduction import reduce
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
MaybeValue = Value | None


def batch_norm(
    w: Writer,
    x: Value,
    weight: MaybeValue,
    bias: MaybeValue,
    mean: MaybeValue,
    variance: MaybeValue,
    training: bool,
    momentum: float,
    eps: float,
    cudnn: bool = False,
) -> Value:
    """(x - mean) / sqrt(variance + eps) * weight + bias over axis 1, with running statistics."""
    if training or mean is None or variance is None:
        return _batch_statistics(w, x, weight, bias, eps)
    scale, shift = _affine(w, weight, bias, x.shape[1], x.dtype)
    values = cast_all(w, x.dtype, scale, shift, mean, variance)
    return w.emit("BatchNormalization", x, *values, dtype=x.dtype, shape=x.shape, epsilon=eps)


def _batch_statistics(w: Writer, x: Value, weight: MaybeValue, bias: MaybeValue, eps: float) -> Value:
    """Statistics of the batch at hand: with one sample these are those of an instance norm."""
    if x.shape[0] != 1 or x.rank < 3:
        raise Refusal("normalises with statistics of the batch; put the model in eval mode before export")
    return instance_norm(w, x, weight, bias, None, None, True, 0.0, eps)


def instance_norm(
    w: Writer,
    x: Value,
    weight: MaybeValue,
    bias: MaybeValue,
    mean: MaybeValue,
    variance: MaybeValue,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn: bool = False,
) -> Value:
    """Each channel of each sample normalised over its positions."""
    if not use_input_stats:
        return batch_norm(w, x, weight, bias, mean, variance, False, momentum, eps)
    values = cast_all(w, x.dtype, *_affine(w, weight, bias, x.shape[1], x.dtype))
    return w.emit("InstanceNormalization", x, *values, dtype=x.dtype, shape=x.shape, epsilon=eps)


def group_norm(
    w: Writer,
    x: Value,
    groups: int,
    weight: MaybeValue = None,
    bias: MaybeValue = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """x [N, C, ...]: each group of C / groups channels normalised together: instance norm over [N, groups, -1]."""
    if groups == x.shape[1] and x.rank > 2:
        return instance_norm(w, x, weight, bias, None, None, True, 0.0, eps)
    flat = reshape(w, x, (x.shape[0], groups, _rest(x, groups)))
    one, zero = _affine(w, None, None, groups, x.dtype)
    normed = w.emit("InstanceNormalization", flat, one, zero, dtype=x.dtype, shape=flat.shape, epsilon=eps)
    result = reshape(w, normed, x.shape, near=x)
    per_channel = (x.shape[1], *[1] * (x.rank - 2))
    if weight is not None:
        result = binary(w, "Mul", result, reshape(w, weight, per_channel), x.dtype)
    if bias is not None:
        result = binary(w, "Add", result, reshape(w, bias, per_channel), x.dtype)
    return result


def _rest(x: Value, groups: int) -> Dim:
    sizes = x.shape[1:]
    if all(isinstance(d, int) for d in sizes):
        return int(torch.tensor(sizes).prod()) // groups
    return f"group of {sizes}"


def layer_norm(
    w: Writer,
    x: Value,
    normalized: Sequence[int],
    weight: MaybeValue = None,
    bias: MaybeValue = None,
    eps: float = 1e-5,
    cudnn: bool = True,
) -> Value:
    """Normalised over the last len(normalized) axes."""
    x = cast(w, x, w.out.dtype)
    scale = w.literal(torch.ones(tuple(normalized)), x.dtype) if weight is None else cast(w, weight, x.dtype)
    shift = None if bias is None else cast(w, bias, x.dtype)
    return w.emit("LayerNormalization", x, scale, shift, shape=x.shape, axis=-len(normalized), epsilon=eps)


def rms_norm(
    w: Writer, x: Value, normalized: Sequence[int], weight: MaybeValue = None, eps: float | None = None
) -> Value:
    """x / sqrt(mean(x * x) + eps) * weight over the last len(normalized) axes."""
    dtype = w.out.dtype
    eps = torch.finfo(dtype).eps if eps is None else eps
    square = binary(w, "Mul", x, x, dtype)
    power = reduce(w, "ReduceMean", square, list(range(x.rank - len(normalized), x.rank)), keepdim=True)
    root = w.emit("Sqrt", binary(w, "Add", power, eps, dtype), dtype=dtype, shape=power.shape)
    result = binary(w, "Div", x, root, dtype)
    return result if weight is None else binary(w, "Mul", result, weight, dtype)


def first_of(lowering: Any) -> Any:
    """The same for an operator that gives statistics too; these have no ONNX form."""

    def only_result(w: Writer, *arguments: Any) -> tuple[Value | None, ...]:
        return (lowering(w, *arguments), *[None] * (len(w.outs) - 1))

    return only_result


def native_batch_norm(
    w: Writer, x: Value, weight: MaybeValue, bias: MaybeValue, mean: Value, variance: Value, momentum: float, eps: float
) -> Value:
    """batch_norm with running statistics."""
    return batch_norm(w, x, weight, bias, mean, variance, False, momentum, eps)


def native_group_norm(
    w: Writer, x: Value, weight: MaybeValue, bias: MaybeValue, n: Any, c: Any, rest: Any, groups: int, eps: float
) -> Value:
    """group_norm in another order of arguments."""
    return group_norm(w, x, groups, weight, bias, eps)


def _affine(w: Writer, weight: MaybeValue, bias: MaybeValue, channels: Dim, dtype: torch.dtype) -> tuple[Value, Value]:
    n = int(channels)
    scale = w.literal(torch.ones(n), dtype) if weight is None else weight
    return scale, w.literal(torch.zeros(n), dtype) if bias is None else bias


LOWERINGS: dict[Any, Any] = {
    aten.batch_norm.default: batch_norm,
    aten.instance_norm.default: instance_norm,
    aten.group_norm.default: group_norm,
    aten.layer_norm.default: layer_norm,
    aten.rms_norm.default: rms_norm,
    aten.native_layer_norm.default: first_of(layer_norm),
    aten.native_group_norm.default: first_of(native_group_norm),
    aten._native_batch_norm_legit_no_training.default: first_of(native_batch_norm),
    aten._fused_rms_norm.default: first_of(rms_norm),
}
NEEDS = {aten.layer_norm.default: 17, aten.native_layer_norm.default: 17}
