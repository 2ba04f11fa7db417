"""Activation functions, each as the fewest operators ONNX has for it."""

from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary, compare, unary, where
from nascc.compiler.lowering.clip import clip
from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import reshape, swap_to_last, transpose
from nascc.compiler.lowering.pieces import split
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value, is_float
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def relu(w: Writer, x: Value) -> Value:
    """max(x, 0)."""
    return unary(w, "Relu", x) if is_float(x.dtype) else binary(w, "Max", x, 0)


def hardtanh(w: Writer, x: Value, low: float = -1.0, high: float = 1.0) -> Value:
    """x limited to [low, high]; relu6 is (0, 6)."""
    return clip(w, x, low, high)


def relu6(w: Writer, x: Value) -> Value:
    """x limited to [0, 6]."""
    return clip(w, x, 0, 6)


def leaky_relu(w: Writer, x: Value, slope: float = 0.01) -> Value:
    """x where positive, else slope * x."""
    return unary(w, "LeakyRelu", x, alpha=float(slope))


def rrelu(
    w: Writer, x: Value, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, generator: Any = None
) -> Value:
    """In inference: leaky with the mean slope."""
    if training:
        raise Refusal("draws random slopes; put the model in eval mode before export")
    return leaky_relu(w, x, (lower + upper) / 2)


def prelu(w: Writer, x: Value, slope: Value) -> Value:
    """x where positive, else slope * x; slope [C] over axis 1, or [1]."""
    slope = cast(w, slope, x.dtype)
    if x.rank > 2 and slope.shape != (1,):
        slope = reshape(w, slope, (*slope.shape, *[1] * (x.rank - 2)))
    return w.emit("PRelu", x, slope, dtype=x.dtype, shape=x.shape)


def elu(w: Writer, x: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Value:
    """x where positive, else alpha * (exp(x) - 1); both times scale."""
    if input_scale != 1:
        raise Refusal("scales the input of the exponential")
    result = unary(w, "Elu", x, alpha=float(alpha))
    return result if scale == 1 else binary(w, "Mul", result, scale, x.dtype)


def selu(w: Writer, x: Value) -> Value:
    """scale * elu(x, alpha) with torch's constants, which are ONNX's defaults."""
    return unary(w, "Selu", x)


def celu(w: Writer, x: Value, alpha: float = 1.0) -> Value:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    if alpha == 1:
        return unary(w, "Elu", x)
    if w.opset >= 12 and x.dtype == torch.float32:
        return unary(w, "Celu", x, alpha=float(alpha))
    return binary(w, "Mul", unary(w, "Elu", binary(w, "Div", x, alpha, x.dtype)), alpha, x.dtype)


def silu(w: Writer, x: Value) -> Value:
    """x * sigmoid(x)."""
    return binary(w, "Mul", x, unary(w, "Sigmoid", x), x.dtype)


def hardswish(w: Writer, x: Value) -> Value:
    """x * relu6(x + 3) / 6."""
    return unary(w, "HardSwish", x)


def hardsigmoid(w: Writer, x: Value) -> Value:
    """relu6(x + 3) / 6."""
    return unary(w, "HardSigmoid", x, alpha=1 / 6, beta=0.5)


def mish(w: Writer, x: Value) -> Value:
    """x * tanh(softplus(x))."""
    return unary(w, "Mish", x)


def gelu(w: Writer, x: Value, approximate: str = "none") -> Value:
    """x * Phi(x), exact or through tanh."""
    return unary(w, "Gelu", x, **({} if approximate == "none" else {"approximate": approximate}))


def softplus(w: Writer, x: Value, beta: float = 1, threshold: float = 20) -> Value:
    """log(1 + exp(beta * x)) / beta."""
    inner = x if beta == 1 else binary(w, "Mul", x, beta, x.dtype)
    result = unary(w, "Softplus", inner)
    return result if beta == 1 else binary(w, "Div", result, beta, x.dtype)


def log_sigmoid(w: Writer, x: Value) -> Value:
    """-softplus(-x)."""
    return unary(w, "Neg", unary(w, "Softplus", unary(w, "Neg", x)))


def threshold(w: Writer, x: Value, limit: float, value: float) -> Value:
    """x where above the limit, else the value."""
    return where(w, compare(w, "Greater", x, limit), x, value, x.dtype)


def hardshrink(w: Writer, x: Value, limit: float = 0.5) -> Value:
    """x where |x| > limit, else 0."""
    return unary(w, "Shrink", x, lambd=float(limit), bias=0.0)


def softshrink(w: Writer, x: Value, limit: float = 0.5) -> Value:
    """x moved towards 0 by the limit, 0 within it."""
    return unary(w, "Shrink", x, lambd=float(limit), bias=float(limit))


def glu(w: Writer, x: Value, dim: int = -1) -> Value:
    """First half times the sigmoid of the second, along an axis."""
    axis = dim % x.rank
    half = w.out.shape[axis]
    if not isinstance(half, int):
        raise Refusal("halves an axis of dynamic size")
    a, b = split(w, x, [half, half], axis)
    return binary(w, "Mul", a, unary(w, "Sigmoid", b), x.dtype)


def softmax(w: Writer, x: Value, dim: int, half_to_float: bool = False) -> Value:
    """exp(x) over its sum along an axis."""
    return _softmax(w, "Softmax", x, dim)


def log_softmax(w: Writer, x: Value, dim: int, half_to_float: bool = False) -> Value:
    """Logarithm of softmax."""
    return _softmax(w, "LogSoftmax", x, dim)


def _softmax(w: Writer, kind: str, x: Value, dim: int) -> Value:
    """Before opset 13 all axes from `axis` on are normalised together, so the axis must be the last."""
    x, axis = cast(w, x, w.out.dtype), dim % max(x.rank, 1)
    if w.opset >= 13 or axis == x.rank - 1:
        return unary(w, kind, x, axis=axis)
    moved, back = swap_to_last(w, x, axis)
    return transpose(w, unary(w, kind, moved, axis=x.rank - 1), back)


LOWERINGS: dict[Any, Any] = {
    aten.relu.default: relu,
    aten.relu6.default: relu6,
    aten.hardtanh.default: hardtanh,
    aten.leaky_relu.default: leaky_relu,
    aten.rrelu.default: rrelu,
    aten.prelu.default: prelu,
    aten._prelu_kernel.default: prelu,
    aten.elu.default: elu,
    aten.selu.default: selu,
    aten.celu.default: celu,
    aten.silu.default: silu,
    aten.hardswish.default: hardswish,
    aten.hardsigmoid.default: hardsigmoid,
    aten.mish.default: mish,
    aten.gelu.default: gelu,
    aten.softplus.default: softplus,
    aten.log_sigmoid.default: log_sigmoid,
    aten.threshold.default: threshold,
    aten.hardshrink.default: hardshrink,
    aten.softshrink.default: softshrink,
    aten.glu.default: glu,
    aten.softmax.int: softmax,
    aten._softmax.default: softmax,
    aten.log_softmax.int: log_softmax,
    aten._log_softmax.default: log_softmax,
}
NEEDS = {
    aten.hardswish.default: 14,
    aten.mish.default: 18,
    aten.gelu.default: 20,
}
