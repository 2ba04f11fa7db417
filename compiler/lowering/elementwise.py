"""Arithmetic and elementary functions, element by element."""

import math
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary, compare, unary, where
from nascc.compiler.lowering.dtypes import Operand, cast, operand
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value, is_float
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def function(kind: str, w: Writer, x: Value) -> Value:
    """An ONNX operator of the same meaning; integers are converted first where the result is a float."""
    x = cast(w, x, w.out.dtype)
    return x if kind in ("Floor", "Ceil", "Round") and not is_float(x.dtype) else unary(w, kind, x)


def arithmetic(kind: str, w: Writer, a: Operand, b: Operand) -> Value:
    """An ONNX operator over two operands."""
    return binary(w, kind, a, b, w.out.dtype)


def add(w: Writer, a: Operand, b: Operand, alpha: float = 1) -> Value:
    """a + alpha * b."""
    return binary(w, "Add", a, _times(w, b, alpha), w.out.dtype)


def sub(w: Writer, a: Operand, b: Operand, alpha: float = 1) -> Value:
    """a - alpha * b."""
    if a == 0 and alpha == 1 and isinstance(b, Value):
        return unary(w, "Neg", cast(w, b, w.out.dtype))
    return binary(w, "Sub", a, _times(w, b, alpha), w.out.dtype)


def rsub(w: Writer, a: Operand, b: Operand, alpha: float = 1) -> Value:
    """b - alpha * a."""
    return sub(w, b, a, alpha)


def _times(w: Writer, x: Operand, factor: float) -> Operand:
    if factor == 1:
        return x
    return binary(w, "Mul", x, factor, w.out.dtype) if isinstance(x, Value) else x * factor


def div(w: Writer, a: Operand, b: Operand, rounding_mode: str | None = None) -> Value:
    """a / b, true or rounded down ("floor") or towards zero ("trunc")."""
    dtype = w.out.dtype
    if rounding_mode is None:
        return _true_division(w, a, b)
    if rounding_mode == "trunc":
        quotient = binary(w, "Div", a, b, dtype)
        return trunc(w, quotient)
    if is_float(dtype):
        return unary(w, "Floor", binary(w, "Div", a, b, dtype))
    whole = binary(w, "Sub", a, binary(w, "Mod", a, b, dtype), dtype)
    return binary(w, "Div", whole, b, dtype)


def _true_division(w: Writer, a: Operand, b: Operand) -> Value:
    if a == 1 and isinstance(b, Value):
        return unary(w, "Reciprocal", cast(w, b, w.out.dtype))
    return binary(w, "Div", a, b, w.out.dtype)


def floor_divide(w: Writer, a: Operand, b: Operand) -> Value:
    """a / b rounded down."""
    return div(w, a, b, "floor")


def trunc(w: Writer, x: Value) -> Value:
    """Rounded towards zero."""
    if not is_float(x.dtype):
        return x
    return binary(w, "Mul", unary(w, "Sign", x), unary(w, "Floor", unary(w, "Abs", x)), x.dtype)


def frac(w: Writer, x: Value) -> Value:
    """x without its whole part."""
    return binary(w, "Sub", x, trunc(w, x), x.dtype)


def remainder(w: Writer, a: Operand, b: Operand) -> Value:
    """a - floor(a / b) * b: the sign is the divisor's."""
    dtype = w.out.dtype
    if not is_float(dtype):
        return binary(w, "Mod", a, b, dtype)
    a, b = operand(w, a, dtype), operand(w, b, dtype)
    return binary(w, "Sub", a, binary(w, "Mul", div(w, a, b, "floor"), b, dtype), dtype)


def fmod(w: Writer, a: Operand, b: Operand) -> Value:
    """The remainder whose sign is the dividend's."""
    dtype = torch.int32 if w.out.dtype in (torch.uint8, torch.int8, torch.int16) else w.out.dtype
    x, y = operand(w, a, dtype), operand(w, b, dtype)
    return cast(w, w.emit("Mod", x, y, dtype=dtype, fmod=1), w.out.dtype)


def power(w: Writer, base: Operand, exponent: Operand) -> Value:
    """base ** exponent; small fixed exponents become products and roots."""
    dtype = w.out.dtype
    if isinstance(base, Value) and not isinstance(exponent, Value):
        return _fixed_power(w, cast(w, base, dtype), exponent)
    return _power(w, operand(w, base, dtype), operand(w, exponent, dtype))


def _fixed_power(w: Writer, x: Value, exponent: float) -> Value:
    if exponent == 1:
        return x
    if exponent == 2:
        return binary(w, "Mul", x, x, x.dtype)
    kinds = {0.5: "Sqrt", -1: "Reciprocal"}
    if is_float(x.dtype) and exponent in kinds:
        return unary(w, kinds[exponent], x)
    if is_float(x.dtype) and exponent == -0.5:
        return rsqrt(w, x)
    return _power(w, x, w.scalar(exponent, x.dtype))


def _power(w: Writer, x: Value, y: Value) -> Value:
    if w.opset < 12 and not is_float(x.dtype):
        raise Refusal("raises integers to a power, which ONNX has from opset 12 on")
    return w.emit("Pow", x, y, dtype=x.dtype)


def square(w: Writer, x: Value) -> Value:
    """x * x."""
    return binary(w, "Mul", x, x, w.out.dtype)


def rsqrt(w: Writer, x: Value) -> Value:
    """1 / sqrt(x)."""
    return unary(w, "Reciprocal", unary(w, "Sqrt", cast(w, x, w.out.dtype)))


def logarithm(base: float, w: Writer, x: Value) -> Value:
    """Logarithm to a base."""
    return binary(w, "Div", unary(w, "Log", cast(w, x, w.out.dtype)), math.log(base), w.out.dtype)


def log1p(w: Writer, x: Value) -> Value:
    """log(1 + x)."""
    return unary(w, "Log", binary(w, "Add", x, 1, w.out.dtype))


def exp2(w: Writer, x: Value) -> Value:
    """2 ** x."""
    return unary(w, "Exp", binary(w, "Mul", x, math.log(2), w.out.dtype))


def expm1(w: Writer, x: Value) -> Value:
    """exp(x) - 1."""
    return binary(w, "Sub", unary(w, "Exp", cast(w, x, w.out.dtype)), 1, w.out.dtype)


def erfc(w: Writer, x: Value) -> Value:
    """1 - erf(x)."""
    return binary(w, "Sub", 1, unary(w, "Erf", cast(w, x, w.out.dtype)), w.out.dtype)


def logit(w: Writer, x: Value, eps: float | None = None) -> Value:
    """log(x / (1 - x)), x first limited to [eps, 1 - eps]."""
    if eps is not None:
        x = w.emit("Clip", x, w.scalar(eps, x.dtype), w.scalar(1 - eps, x.dtype))
    return unary(w, "Log", binary(w, "Div", x, binary(w, "Sub", 1, x, x.dtype), x.dtype))


def round_decimals(w: Writer, x: Value, decimals: int) -> Value:
    """Rounded to decimals, halves to even."""
    factor = 10.0**decimals
    return binary(w, "Div", unary(w, "Round", binary(w, "Mul", x, factor, x.dtype)), factor, x.dtype)


def atan2(w: Writer, y: Operand, x: Operand) -> Value:
    """The angle of (x, y)."""
    dtype = w.out.dtype
    y, x = operand(w, y, dtype), operand(w, x, dtype)
    angle = unary(w, "Atan", binary(w, "Div", y, x, dtype))
    turn = where(w, compare(w, "Less", y, 0.0), -math.pi, math.pi, dtype)
    turned = where(w, compare(w, "Less", x, 0.0), binary(w, "Add", angle, turn, dtype), angle, dtype)
    both_zero = w.emit("And", compare(w, "Equal", x, 0.0), compare(w, "Equal", y, 0.0), dtype=torch.bool)
    return where(w, both_zero, 0.0, turned, dtype)


def hypot(w: Writer, a: Value, b: Value) -> Value:
    """sqrt(a * a + b * b)."""
    return unary(w, "Sqrt", binary(w, "Add", square(w, a), square(w, b), w.out.dtype))


def lerp(w: Writer, a: Value, b: Value, weight: Operand) -> Value:
    """a + weight * (b - a)."""
    dtype = w.out.dtype
    return binary(w, "Add", a, binary(w, "Mul", binary(w, "Sub", b, a, dtype), weight, dtype), dtype)


def addcmul(w: Writer, x: Value, a: Value, b: Value, value: float = 1) -> Value:
    """x + value * a * b."""
    product = binary(w, "Mul", a, b, w.out.dtype)
    return binary(w, "Add", x, _times(w, product, value), w.out.dtype)


def addcdiv(w: Writer, x: Value, a: Value, b: Value, value: float = 1) -> Value:
    """x + value * a / b."""
    quotient = binary(w, "Div", a, b, w.out.dtype)
    return binary(w, "Add", x, _times(w, quotient, value), w.out.dtype)


FUNCTIONS = {
    "Abs": (aten.abs.default,),
    "Neg": (aten.neg.default,),
    "Exp": (aten.exp.default,),
    "Log": (aten.log.default,),
    "Sqrt": (aten.sqrt.default,),
    "Reciprocal": (aten.reciprocal.default,),
    "Sign": (aten.sign.default, aten.sgn.default),
    "Floor": (aten.floor.default,),
    "Ceil": (aten.ceil.default,),
    "Round": (aten.round.default,),
    "Erf": (aten.erf.default, aten.special_erf.default),
    "Sigmoid": (aten.sigmoid.default, aten.special_expit.default),
    "Tanh": (aten.tanh.default,),
    "Sin": (aten.sin.default,),
    "Cos": (aten.cos.default,),
    "Tan": (aten.tan.default,),
    "Asin": (aten.asin.default,),
    "Acos": (aten.acos.default,),
    "Atan": (aten.atan.default,),
    "Sinh": (aten.sinh.default,),
    "Cosh": (aten.cosh.default,),
    "Asinh": (aten.asinh.default,),
    "Acosh": (aten.acosh.default,),
    "Atanh": (aten.atanh.default,),
}
ARITHMETIC = {
    "Mul": (aten.mul.Tensor, aten.mul.Scalar, aten.multiply.Tensor),
    "Max": (aten.maximum.default, aten.max.other, aten.fmax.default),
    "Min": (aten.minimum.default, aten.min.other, aten.fmin.default),
}
LOWERINGS: dict[Any, Any] = {
    **{target: partial(function, kind) for kind, targets in FUNCTIONS.items() for target in targets},
    **{target: partial(arithmetic, kind) for kind, targets in ARITHMETIC.items() for target in targets},
    **dict.fromkeys((aten.add.Tensor, aten.add.Scalar), add),
    **dict.fromkeys((aten.sub.Tensor, aten.sub.Scalar), sub),
    **dict.fromkeys((aten.rsub.Tensor, aten.rsub.Scalar), rsub),
    **dict.fromkeys(
        (aten.div.Tensor, aten.div.Scalar, aten.true_divide.Tensor, aten.div.Tensor_mode, aten.div.Scalar_mode), div
    ),
    **dict.fromkeys((aten.floor_divide.default, aten.floor_divide.Scalar), floor_divide),
    **dict.fromkeys((aten.remainder.Tensor, aten.remainder.Scalar), remainder),
    **dict.fromkeys((aten.fmod.Tensor, aten.fmod.Scalar), fmod),
    **dict.fromkeys((aten.pow.Tensor_Scalar, aten.pow.Tensor_Tensor, aten.pow.Scalar), power),
    **dict.fromkeys((aten.lerp.Scalar, aten.lerp.Tensor), lerp),
    aten.trunc.default: trunc,
    aten.fix.default: trunc,
    aten.frac.default: frac,
    aten.square.default: square,
    aten.rsqrt.default: rsqrt,
    aten.log2.default: partial(logarithm, 2.0),
    aten.log10.default: partial(logarithm, 10.0),
    aten.log1p.default: log1p,
    aten.exp2.default: exp2,
    aten.expm1.default: expm1,
    aten.erfc.default: erfc,
    aten.logit.default: logit,
    aten.round.decimals: round_decimals,
    aten.atan2.default: atan2,
    aten.hypot.default: hypot,
    aten.addcmul.default: addcmul,
    aten.addcdiv.default: addcdiv,
}
