"""Comparisons, logic, bits, and choices by a mask."""

import math
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary, compare, logical, where
from nascc.compiler.lowering.dtypes import Operand, cast, operand
from nascc.compiler.lowering.elementwise import floor_divide
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value, is_float
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def comparison(kind: str, w: Writer, a: Operand, b: Operand) -> Value:
    """A comparison of the promoted operands."""
    return compare(w, kind, a, b)


def not_equal(w: Writer, a: Operand, b: Operand) -> Value:
    """a != b."""
    return negate(w, compare(w, "Equal", a, b))


def negate(w: Writer, x: Value) -> Value:
    """True where x is zero or false."""
    return w.emit("Not", cast(w, x, torch.bool), dtype=torch.bool, shape=x.shape)


def logic(kind: str, w: Writer, a: Operand, b: Operand) -> Value:
    """And, Or, Xor of truths."""
    return logical(w, kind, a, b)


def bitwise(kind: str, w: Writer, a: Operand, b: Operand) -> Value:
    """And, Or, Xor of bits; of booleans at every opset."""
    if w.out.dtype == torch.bool:
        return logical(w, kind, a, b)
    if w.opset < 18:
        raise Refusal("combines the bits of integers, which ONNX has from opset 18 on")
    return w.emit(f"Bitwise{kind}", operand(w, a, w.out.dtype), operand(w, b, w.out.dtype))


def bitwise_not(w: Writer, x: Value) -> Value:
    """Every bit turned: -x - 1 for integers."""
    if x.dtype == torch.bool:
        return negate(w, x)
    if w.opset >= 18:
        return w.emit("BitwiseNot", x)
    return binary(w, "Sub", -1, x, x.dtype)


def is_nan(w: Writer, x: Value) -> Value:
    """True where x is not a number."""
    return w.emit("IsNaN", x, dtype=torch.bool) if is_float(x.dtype) else compare(w, "Less", x, x)


def is_inf(w: Writer, x: Value) -> Value:
    """True where x is infinite."""
    if not is_float(x.dtype):
        return compare(w, "Less", x, x)
    x = cast(w, x, torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x
    return w.emit("IsInf", x, dtype=torch.bool)


def is_signed_infinity(sign: float, w: Writer, x: Value) -> Value:
    """True where x is infinite on one side."""
    return compare(w, "Equal", x, sign * math.inf) if is_float(x.dtype) else compare(w, "Less", x, x)


def is_negative(w: Writer, x: Value) -> Value:
    """signbit: True where x is below zero."""
    return compare(w, "Less", x, 0)


def shifted(factor: float, w: Writer, x: Value, bits: int) -> Value:
    """Bits moved left (factor 2) or right (factor 1/2): a product, or a quotient rounded down."""
    if not isinstance(bits, int):
        raise Refusal("shifts by a count known only at run time")
    return binary(w, "Mul", x, 2**bits, w.out.dtype) if factor == 2 else floor_divide(w, x, 2**bits)


def is_finite(w: Writer, x: Value) -> Value:
    """True where x is neither infinite nor not a number: x - x == 0."""
    return compare(w, "Equal", binary(w, "Sub", x, x, x.dtype), 0)


def choose(w: Writer, condition: Value, a: Operand, b: Operand) -> Value:
    """a where the condition holds, else b."""
    return where(w, condition, a, b, w.out.dtype)


def masked_fill(w: Writer, x: Value, mask: Value, value: Operand) -> Value:
    """The value where the mask holds, else x."""
    return where(w, mask, value, x, w.out.dtype)


def heaviside(w: Writer, x: Value, at_zero: Value) -> Value:
    """0 below zero, 1 above, `at_zero` in between."""
    step = cast(w, compare(w, "Greater", x, 0), x.dtype)
    return where(w, compare(w, "Equal", x, 0), at_zero, step, x.dtype)


COMPARISONS = {
    "Equal": (aten.eq.Tensor, aten.eq.Scalar),
    "Less": (aten.lt.Tensor, aten.lt.Scalar),
    "Greater": (aten.gt.Tensor, aten.gt.Scalar),
    "LessOrEqual": (aten.le.Tensor, aten.le.Scalar),
    "GreaterOrEqual": (aten.ge.Tensor, aten.ge.Scalar),
}
BITWISE = {
    "And": (aten.bitwise_and.Tensor, aten.bitwise_and.Scalar, aten.__and__.Tensor, aten.__and__.Scalar),
    "Or": (aten.bitwise_or.Tensor, aten.bitwise_or.Scalar, aten.__or__.Tensor, aten.__or__.Scalar),
    "Xor": (aten.bitwise_xor.Tensor, aten.bitwise_xor.Scalar, aten.__xor__.Tensor, aten.__xor__.Scalar),
}
LOWERINGS: dict[Any, Any] = {
    **{target: partial(comparison, kind) for kind, targets in COMPARISONS.items() for target in targets},
    **{target: partial(bitwise, kind) for kind, targets in BITWISE.items() for target in targets},
    **dict.fromkeys((aten.ne.Tensor, aten.ne.Scalar), not_equal),
    aten.logical_not.default: negate,
    aten.logical_and.default: partial(logic, "And"),
    aten.logical_or.default: partial(logic, "Or"),
    aten.logical_xor.default: partial(logic, "Xor"),
    aten.bitwise_not.default: bitwise_not,
    aten.isnan.default: is_nan,
    aten.isinf.default: is_inf,
    aten.isfinite.default: is_finite,
    aten.isposinf.default: partial(is_signed_infinity, 1.0),
    aten.isneginf.default: partial(is_signed_infinity, -1.0),
    aten.signbit.default: is_negative,
    **dict.fromkeys((aten.__lshift__.Scalar, aten.bitwise_left_shift.Tensor_Scalar), partial(shifted, 2)),
    **dict.fromkeys((aten.__rshift__.Scalar, aten.bitwise_right_shift.Tensor_Scalar), partial(shifted, 0.5)),
    aten.where.self: choose,
    aten.where.ScalarOther: choose,
    aten.where.ScalarSelf: choose,
    aten.where.Scalar: choose,
    aten.masked_fill.Scalar: masked_fill,
    aten.masked_fill.Tensor: masked_fill,
    aten.heaviside.default: heaviside,
}
