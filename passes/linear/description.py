"""What a cost function is told about an operator: plain numbers, no tensors and no graph."""

from dataclasses import dataclass
from math import prod

from nascc.passes.linear.operator import Ints

CONVOLUTIONS = ("conv", "conv_transposed", "linear")
"""Kinds that multiply matrices."""
MOVES = ("select", "pixel_shuffle", "pixel_unshuffle", "concat", "cat_ones", "pad", "flatten")
"""Kinds that only move numbers."""
FIXES = ("add_map", "add_tile", "cat_ones", "subtract", "pad")
"""Kinds that stand at a border beside an operator."""


@dataclass(frozen=True)
class LinearOp:
    """One operator of a deployed graph; it hashes, compares and prints.

    kind is one of CONVOLUTIONS, MOVES, or 'per_channel', 'average_pool', 'upsample', 'add' (two activations),
    'add_map', 'add_tile' (a constant), 'subtract' (a constant per channel). `size` and `out_size` are spatial, without
    batch and channels; `tail` names what directly follows and a runtime may fuse: an activation, or 'add'.
    """

    kind: str
    c_in: int
    c_out: int
    size: Ints
    out_size: Ints
    kernel: Ints = ()
    stride: Ints = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: Ints = ()
    groups: int = 1
    bias: bool = False
    batch: int = 1
    dtype: str = "float32"
    tail: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or linear layer; 0 for other kinds."""
        if self.kind not in CONVOLUTIONS:
            return 0
        pixels = prod(self.size if self.kind == "conv_transposed" else self.out_size)
        return self.batch * pixels * self.c_out * (self.c_in // self.groups) * prod(self.kernel)

    @property
    def params(self) -> int:
        """Numbers the operator holds."""
        constant = self.c_out if self.bias else 0
        if self.kind in CONVOLUTIONS:
            return self.c_out * (self.c_in // self.groups) * prod(self.kernel) + constant
        held = {
            "per_channel": 2 * self.c_out,
            "subtract": self.c_out,
            "add_map": self.c_out * prod(self.out_size),
            "add_tile": self.c_out,
        }
        return held.get(self.kind, 0)

    @property
    def activations(self) -> int:
        """Numbers read and written, parameters left out."""
        read = self.batch * self.c_in * prod(self.size)
        written = self.batch * self.c_out * prod(self.out_size)
        return (2 * read if self.kind == "add" else read) + written

    @property
    def outputs(self) -> int:
        """Numbers written."""
        return self.batch * self.c_out * prod(self.out_size)


def operator_count(ops: tuple[LinearOp, ...]) -> int:
    """How many operators there are, what stands at their borders left out."""
    return sum(op.kind not in FIXES for op in ops)
