"""Operators by name: `k5e6` (kernel, expansion), `k3e1g2` (groups), `k3e6se` (squeeze-and-excitation), `skip`."""

import re
from dataclasses import dataclass

from torch import nn

from nascc.nas.blocks.mbconv import MBConv
from nascc.nas.blocks.skip import skip
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.errors import SearchError

SKIP = Op("skip", skip)
_NAME = re.compile(r"k(?P<kernel>[1-9]\d*)e(?P<expansion>\d+(?:\.\d+)?)(?:g(?P<groups>[1-9]\d*))?(?P<se>se)?")


@dataclass(frozen=True)
class MBConvOp:
    """What the name of an inverted bottleneck says; calling it builds the block for a place."""

    kernel: int
    expansion: float
    groups: int = 1
    se: bool = False

    def __call__(self, ctx: Ctx) -> nn.Module:
        return MBConv(ctx, self.kernel, self.expansion, self.groups, self.se)


def operator(name: str) -> Op:
    """The operator of a name. Raises SearchError."""
    if name == SKIP.name:
        return SKIP
    found = _NAME.fullmatch(name)
    if found is None or int(found["kernel"]) % 2 == 0 or float(found["expansion"]) == 0:
        raise SearchError(f"an operator must be 'skip' or like 'k5e6', 'k3e1g2', 'k3e6se' (odd kernel), got '{name}'")
    groups = int(found["groups"] or 1)
    return Op(name, MBConvOp(int(found["kernel"]), float(found["expansion"]), groups, found["se"] is not None))


def with_squeeze_excite(op: Op) -> Op:
    """The same operator with squeeze-and-excitation; a skip stays a skip."""
    return op if op == SKIP or op.name.endswith("se") else operator(f"{op.name}se")
