"""Operators by name: `k5e6` (kernel, expansion), `k3e1g2` (groups), `k3e6se` (squeeze-and-excitation), `skip`.

Linear ones: `k5e6l`, `k5e6l-first` (padding before the first convolution), `k5e6l-open` (no last activation); what they
collapse to: `k5c`, `k5cbn` (batch norm instead of the bias).
"""

import re
from dataclasses import dataclass, replace

from torch import nn

from nascc.nas.blocks.dense_conv import DenseConv
from nascc.nas.blocks.linear_mbconv import LinearMBConv, Padding
from nascc.nas.blocks.mbconv import MBConv
from nascc.nas.blocks.skip import skip
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.errors import SearchError

SKIP = Op("skip", skip)
_NAME = re.compile(r"k(?P<kernel>[1-9]\d*)e(?P<expansion>\d+(?:\.\d+)?)(?:g(?P<groups>[1-9]\d*))?(?P<se>se)?")
_LINEAR = re.compile(r"k(?P<kernel>[1-9]\d*)e(?P<expansion>\d+(?:\.\d+)?)l(?P<first>-first)?(?P<open>-open)?")
_DENSE = re.compile(r"k(?P<kernel>[1-9]\d*)c(?P<norm>bn)?")


@dataclass(frozen=True)
class MBConvOp:
    """What the name of an inverted bottleneck says; calling it builds the block for a place."""

    kernel: int
    expansion: float
    groups: int = 1
    se: bool = False

    def __call__(self, ctx: Ctx) -> nn.Module:
        return MBConv(ctx, self.kernel, self.expansion, self.groups, self.se)


@dataclass(frozen=True)
class LinearOp:
    """What the name of a linear inverted bottleneck says; calling it builds the block for a place."""

    kernel: int
    expansion: float
    padding: Padding = "bias"
    last: bool = True

    def __call__(self, ctx: Ctx) -> nn.Module:
        return LinearMBConv(ctx, self.kernel, self.expansion, self.padding, self.last)

    @property
    def name(self) -> str:
        first, last = "-first" if self.padding == "first" else "", "" if self.last else "-open"
        return f"k{self.kernel}e{self.expansion:g}l{first}{last}"


@dataclass(frozen=True)
class DenseOp:
    """What the name of a dense convolution says; calling it builds the block for a place."""

    kernel: int
    norm: bool = False

    def __call__(self, ctx: Ctx) -> nn.Module:
        return DenseConv(ctx, self.kernel, self.norm)

    @property
    def name(self) -> str:
        return f"k{self.kernel}c{'bn' if self.norm else ''}"


def operator(name: str) -> Op:
    """The operator of a name. Raises SearchError."""
    if name == SKIP.name:
        return SKIP
    if (found := _LINEAR.fullmatch(name)) is not None and _is_block(found):
        padding: Padding = "first" if found["first"] else "bias"
        return Op(name, LinearOp(int(found["kernel"]), float(found["expansion"]), padding, found["open"] is None))
    if (found := _DENSE.fullmatch(name)) is not None and int(found["kernel"]) % 2:
        return Op(name, DenseOp(int(found["kernel"]), found["norm"] is not None))
    if (found := _NAME.fullmatch(name)) is None or not _is_block(found):
        raise SearchError(
            f"an operator must be 'skip' or like 'k5e6', 'k3e1g2', 'k3e6se', 'k5e6l', 'k5c' (odd kernel), got '{name}'"
        )
    groups = int(found["groups"] or 1)
    return Op(name, MBConvOp(int(found["kernel"]), float(found["expansion"]), groups, found["se"] is not None))


def with_squeeze_excite(op: Op) -> Op:
    """The same operator with squeeze-and-excitation; what is no inverted bottleneck with activations stays as it is."""
    return op if not isinstance(op.make, MBConvOp) or op.make.se else operator(f"{op.name}se")


def as_linear(name: str, padding: Padding, last: bool) -> str:
    """The name of a linear operator with this padding and end; of any other operator, its own."""
    made = operator(name).make
    return replace(made, padding=padding, last=last).name if isinstance(made, LinearOp) else name


def _is_block(found: re.Match[str]) -> bool:
    return int(found["kernel"]) % 2 == 1 and float(found["expansion"]) > 0
