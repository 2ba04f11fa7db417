"""Cost functions over plain descriptions; a plan takes any callable like them."""

from collections.abc import Callable
from math import prod

from nascc.passes.linear.description import CONVOLUTIONS, MOVES, LinearOp

Cost = Callable[[tuple[LinearOp, ...]], float]
BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}


def flops(ops: tuple[LinearOp, ...]) -> float:
    """Floating point operations: two a multiply-accumulate, one or two a number for what works on single numbers."""
    return float(sum(_flops(op) for op in ops))


def _flops(op: LinearOp) -> int:
    if op.kind in CONVOLUTIONS:
        return 2 * op.macs
    if op.kind in MOVES:
        return 0
    if op.kind == "average_pool":
        return op.outputs * prod(op.kernel) if op.kernel else op.batch * op.c_in * prod(op.size)
    return op.outputs * (2 if op.kind == "per_channel" else 1)


def traffic(ops: tuple[LinearOp, ...]) -> float:
    """Bytes read and written, activations and parameters, each once an operator."""
    return float(sum(BYTES.get(op.dtype, 4) * (op.activations + op.params) for op in ops))


def roofline(ops: tuple[LinearOp, ...], flops_per_byte: float = 8.0, launch_flops: float = 2e4) -> float:
    """Time as floating point operations of a machine that does `flops_per_byte` while it moves one byte.

    Each operator takes the longer of computing and moving, and `launch_flops` to start.
    """
    return sum(max(flops((op,)), flops_per_byte * traffic((op,))) + launch_flops for op in ops)
