"""The latency model of a target as a cost over linear operators: what CollapseLinear and MergeBranches decide by."""

from collections.abc import Callable
from math import prod

from nascc.passes.linear.description import CONVOLUTIONS, LinearOp
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import TERMS, kernel_ms, not_calibrated, setting_of, terms_of
from nascc.runtime.operators import convolution, product
from nascc.runtime.profile import Target

ABSORBED = ("add", "add_map", "add_tile")
"""Kinds that the kernel before them takes over: only what they read in addition costs time."""
KINDS = {
    "per_channel": "elementwise",
    "subtract": "elementwise",
    "average_pool": "pool",
    "upsample": "resize",
    "select": "slice",
    "concat": "concat",
    "cat_ones": "concat",
    "pixel_shuffle": "move",
    "pixel_unshuffle": "move",
}
"""What kinds of memory kernels the others are; a pad or a flatten is free."""


def target_cost(profile: Target, power_mode: str | None = None) -> Callable[[tuple[LinearOp, ...]], float]:
    """Estimated milliseconds of operators on a target, the sum over all of them; fp16 where the target was measured so.

    The tail of an operator runs within its kernel, and so do a residual and a border correction.
    Raises NotCalibrated for a target without coefficients, UnknownPowerMode.
    """
    table = profile.latency
    if table is None:
        raise not_calibrated(profile)
    setting = setting_of(profile, power_mode)
    memory = TERMS.index("memory")
    known: dict[LinearOp, float] = {}

    def milliseconds(op: LinearOp) -> float:
        kernel = kernel_of(op)
        if kernel is None:
            return 0.0
        if op.kind in ABSORBED:
            return terms_of(kernel, setting)[memory] * table.coefficients[memory]
        return kernel_ms(kernel, profile, setting)

    def cost(ops: tuple[LinearOp, ...]) -> float:
        for op in ops:
            if op not in known:
                known[op] = milliseconds(op)
        return sum(known[op] for op in ops)

    return cost


def kernel_of(op: LinearOp) -> Kernel | None:
    """The kernel that an operator runs as; None for those that cost nothing. Absorbed ones read, and write nothing."""
    if op.kind in CONVOLUTIONS:
        return _multiplication(op)
    if op.kind in ABSORBED:
        return Kernel(op.kind, "elementwise", 0, op.outputs if op.kind == "add" else 0, 0, op.params, 0)
    kind = KINDS.get(op.kind)
    if kind is None:
        return None
    read = op.outputs if kind == "slice" else op.batch * op.c_in * prod(op.size)
    return Kernel(op.kind, kind, 0, read, op.outputs, op.params, 0)


def _multiplication(op: LinearOp) -> Kernel:
    read = op.batch * op.c_in * prod(op.size)
    bias = op.c_out if op.bias else 0
    shape_in, shape_out = (op.batch, op.c_in, *op.size), (op.batch, op.c_out, *op.out_size)
    if op.kind == "linear":
        rows = (op.batch, *op.out_size, op.c_out)
        found = product(op.kind, ("x",), "y", rows, op.c_in, op.c_in * op.c_out + bias)
    else:
        transposed = op.kind == "conv_transposed"
        first, second = (op.c_in, op.c_out) if transposed else (op.c_out, op.c_in)
        weight = (first, second // op.groups, *op.kernel)
        found = convolution(
            op.kind, ("x",), "y", shape_in, shape_out, weight, op.groups, transposed=transposed, bias=bias
        )
    c_in, c_out = found.channels
    return Kernel(
        op.kind, found.kind, found.macs, read, found.elements, found.weights, found.reduction,
        channels_in=c_in, channels_out=c_out,
    )  # fmt: skip
