"""The runtime model of Single-Path NAS (Eqs. 10 to 12): the cost of what gates let by, differentiable."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nascc.nas.core.cost import Cost
from nascc.nas.core.selection import legal_columns
from nascc.nas.core.space import Arch
from nascc.nas.errors import NotAdditive
from nascc.nas.supernets.indicators import Gates
from nascc.nas.supernets.superkernel import Superkernel
from nascc.nas.supernets.superkernel_net import SuperkernelNet


@dataclass(frozen=True, eq=False)
class SlotRuntime:
    """What a slot costs by kernel and expansion, [m, n], and as a skip; in the unit of the cost."""

    table: Tensor
    skip: float

    def __call__(self, gates: Gates) -> Tensor:
        """R = keep * R_e * ratio: R_e of the largest kernel, ratio of the largest expansion.

        R_e = R[K, 1] + sum_j g_j (R[K, j] - R[K, j-1]) and ratio = r_1 + sum_i c_i (r_i - r_i-1), r_i = R[i, E] /
        R[K, E]: exact with the largest kernel or the largest expansion, else as good as kernels and expansions factor.
        """
        (width, wider), (ratio, larger) = self._factors
        by_width, by_kernel = width + gates.widths[1:] @ wider, ratio + gates.kernels[1:] @ larger
        return gates.keep * by_width * by_kernel + (1 - gates.keep) * self.skip

    @cached_property
    def _factors(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """(R[K, 1], its steps along expansions), (r_1, its steps along kernels)."""
        widths, ratios = self.table[-1], self.table[:, -1] / self.table[-1, -1]
        return (widths[0], widths.diff()), (ratios[0], ratios.diff())


class Runtime:
    """The cost of a supernet as it is gated: by Eqs. 10 to 12 where costs add up, else the cost's own soft form."""

    def __init__(self, net: SuperkernelNet, cost: Cost) -> None:
        self.net, self.cost = net, cost
        try:
            rows: list[list[float]] | None = cost.table()
        except NotAdditive:
            rows = None
        self.slots = None if rows is None else slots_of(net, rows)

    def __call__(self, gates: Sequence[Gates]) -> Tensor:
        """A scalar in the unit of the cost, with gradients to the gates."""
        if self.slots is None:
            return self.cost.soft(self.net.coefficients(gates))
        return self.cost.constant + torch.stack([s(g.double()) for s, g in zip(self.slots, gates, strict=True)]).sum()

    def of(self, arch: Arch) -> float:
        """The same of an architecture; the cost itself, which is exact, is `cost(arch)`."""
        if self.slots is None:
            return self.cost(arch)
        return self.cost.constant + sum(row[k] for row, k in zip(self._corners, arch, strict=True))

    @cached_property
    def _corners(self) -> list[list[float]]:
        """What each operator of each slot costs by the model."""
        pairs = zip(self.slots or (), self.net.superkernels, strict=True)
        return [[float(slot(corner(own, k))) for k in range(len(own.ops))] for slot, own in pairs]

    @cached_property
    def unit(self) -> float:
        """What a slot changes on average between its cheapest and its dearest operator."""
        choices = self.net.space.choices
        legal = legal_columns(choices)
        even = (legal.double() / legal.sum(1, keepdim=True)).requires_grad_()
        (slope,) = torch.autograd.grad(self.cost.soft(even), even)
        spread = slope.masked_fill(~legal, -torch.inf).amax(1) - slope.masked_fill(~legal, torch.inf).amin(1)
        return float(spread.mean()) or 1.0


def slots_of(net: SuperkernelNet, rows: Sequence[Sequence[float]]) -> tuple[SlotRuntime, ...]:
    """The tables of a supernet's slots from rows [slot][operator]."""
    found = []
    for superkernel, row in zip(net.superkernels, rows, strict=True):
        table = torch.zeros(len(superkernel.kernels), len(superkernel.expansions), dtype=torch.float64)
        for (kernel, expansion), index in superkernel.grid.items():
            table[kernel, expansion] = row[index]
        found.append(SlotRuntime(table, 0.0 if superkernel.skip is None else row[superkernel.skip]))
    return tuple(found)


def corner(superkernel: Superkernel, index: int) -> Gates:
    """The gates that stand for an operator."""
    place = {at: place for place, at in superkernel.grid.items()}.get(index)
    kernel, width = place if place is not None else (0, 0)
    kernels = (torch.arange(len(superkernel.kernels)) <= kernel).double()
    widths = (torch.arange(len(superkernel.expansions)) <= width).double()
    return Gates(kernels, widths, torch.tensor(float(place is not None), dtype=torch.float64))
