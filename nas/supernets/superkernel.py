"""A searched block whose choices live in one over-parameterised kernel (Single-Path NAS, ECML-PKDD 2019)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.blocks.operators import SKIP, MBConvOp
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.errors import Diverged, SearchError
from nascc.nas.supernets.indicators import Gates, Indicators, cumulated, indicator
from nascc.nas.supernets.sliced_choice import SlicedChoice


class Superkernel(SlicedChoice):
    """Depthwise kernel [C_hid, 1, K, K] of which shells, channels and the whole block are kept or dropped.

    A shell counts when the importance of its weights reaches a threshold of its own; then, on what kernels are left,
    each further group of channels (`e` = 6 after 3), and, where a skip is legal, the first one for the block. The
    decided superkernel *is* the operator that `extract` gives: channels are gated in the columns of the projection and
    the block in the affine of its last batch norm, which equals gating after batch norm and activation and costs
    nothing. Thresholds are in units of the width of the sigmoid (`Indicators.width`). Operators are all combinations
    of some kernels and expansions, and perhaps a skip; one that is told runs as a slice. Raises SearchError for others.
    """

    def __init__(self, ops: Sequence[Op], ctx: Ctx, settings: Indicators = Indicators()) -> None:  # noqa: B008
        found = grid_of(ops)
        super().__init__(ops, ctx)
        self.settings, self.kernels, self.expansions = settings, found.kernels, found.expansions
        self.grid, self.skip = found.indices, found.skip
        self.members: Tensor
        bounds = [0, *(round(ctx.c_in * e) for e in self.expansions)]
        self.register_buffer("members", _members(bounds), persistent=False)
        self.areas: Tensor
        squares = torch.tensor([0.0, *(k * k for k in self.kernels)])
        self.register_buffer("areas", squares.diff(), persistent=False)
        self.shells: Tensor
        self.register_buffer("shells", _shells(self.kernels), persistent=False)
        count = len(self.kernels) - 1 + len(self.expansions) - 1 + (self.skip is not None)
        self.thresholds = nn.Parameter(torch.zeros(count))
        self.widths: Tensor
        self.register_buffer("widths", torch.ones(count), persistent=False)
        with torch.no_grad():
            self.widths.copy_(settings.width(self.importances()))

    def gates(self, factors: Tensor | None = None) -> Gates:
        """What is kept, with gradients in training; `factors` [thresholds] multiply the indicators (dropout)."""
        return self._decided(factors)[0]

    def importances(self) -> Tensor:
        """The importance of each group that has a threshold: shells, channels, block; [thresholds]."""
        return self._decided(None)[1]

    def gated(self, x: Tensor, gates: Gates) -> Tensor:
        """[N, C_in, H, W] through the whole superkernel, with what is dropped gated off."""
        first, second, third = self.norms
        kernel = self.depthwise * torch.einsum("k,kij->ij", gates.kernels.to(x.dtype), self.shells)
        columns = gates.widths.to(x.dtype) @ self.members
        project: Tensor = self.project
        scale = None if self.skip is None or self.settings.faithful else gates.keep.to(x.dtype)
        if self.settings.faithful:
            kernel = kernel * (columns * gates.keep).reshape(-1, 1, 1, 1)
        else:
            project = project * columns.reshape(1, -1, 1, 1)
        y: Tensor = self.activation(first(F.conv2d(x, self.expand)))
        y = F.conv2d(y, kernel, stride=self.ctx.stride, padding=kernel.shape[-1] // 2, groups=len(kernel))
        y = third(F.conv2d(self.activation(second(y)), project), scale)
        if self.ctx.keeps_shape:
            return x + y
        if self.skip is not None and (torch.compiler.is_compiling() or not bool(gates.keep)):
            y = y + self.run(x, self.skip) * (1 - gates.keep)  # a capture can not ask which of them runs
        return y

    def coefficients(self, gates: Gates) -> Tensor:
        """[C]: 1 for the operator that the gates stand for, with their gradients."""
        chances = gates.chances()
        rows = {index: chances[k, e] for (k, e), index in self.grid.items()}
        if self.skip is not None:
            rows[self.skip] = 1 - gates.keep
        return torch.stack([rows[k] for k in range(len(self.ops))])

    @torch.no_grad()
    def decide(self) -> int:
        """The operator that the weights stand for. Raises Diverged where a threshold or an importance is no number."""
        gates, importances = self._decided(None)
        if not bool(importances.isfinite().all() & ~self.thresholds.isnan().any()):
            raise Diverged(
                "every threshold and importance of a superkernel must be a number, found NaN; lower the rate"
            )
        return int(self.coefficients(gates).argmax())

    @torch.no_grad()
    def force(self, index: int) -> None:
        """Set the thresholds so that the weights stand for an operator."""
        wanted = {at: place for place, at in self.grid.items()}.get(index)
        kernel, width = wanted if wanted is not None else (len(self.kernels) - 1, len(self.expansions) - 1)
        bits = [
            *(i < kernel for i in range(len(self.kernels) - 1)),
            *(i < width for i in range(len(self.expansions) - 1)),
        ]
        self.force_bits([*bits, *([index != self.skip] if self.skip is not None else [])])

    @torch.no_grad()
    def force_bits(self, bits: Sequence[bool]) -> None:
        """Set the threshold of each decision, in the order of `thresholds`, so that it is as told."""
        for place, bit in enumerate(bits):
            self.thresholds[place] = 0.0 if bit else 2 * self.importances()[place] / self.widths[place] + 1

    def margins(self) -> Tensor:
        """importance / width - threshold of each decision, [thresholds]: what the sigmoid of its gradient sees."""
        return self.importances() / self.widths - self.thresholds

    def gates_of(self, indicators: Tensor) -> Gates:
        """Gates of any numbers that stand for the indicators, [thresholds]."""
        shells, at = len(self.kernels) - 1, len(self.kernels) + len(self.expansions) - 2
        keep = indicators.new_ones(()) if self.skip is None else indicators[at]
        return Gates(cumulated(indicators[:shells]), cumulated(indicators[shells:at]), keep)

    def deviation(self) -> Tensor:
        """The standard deviation of the depthwise weights, core and shells apart, [m] (Fig. 6)."""
        return torch.stack([self.depthwise[:, 0][:, shell > 0].std() for shell in self.shells])

    def _decided(self, factors: Tensor | None) -> tuple[Gates, Tensor]:
        """The gates, and the importances they rest on; first the shells, then what is left of channels and block."""
        w, shells = self.settings.seen(self.depthwise[:, 0]), len(self.kernels) - 1
        energy = self.members @ (w.square().flatten(1) @ self.shells.flatten(1).T)
        outer = self.settings.measure(energy.sum(0)[1:], self.areas[1:] * len(w))
        kernels = cumulated(self._indicators(outer, 0, factors))
        area = (kernels.detach() != 0).to(w.dtype) @ self.areas
        groups = self.settings.measure(energy @ kernels.square(), area * self.members.sum(1))
        inner = groups[1:] if self.skip is None else groups.roll(-1)
        found = self._indicators(inner, shells, factors)
        widths = found if self.skip is None else found[:-1]
        keep = w.new_ones(()) if self.skip is None else found[-1]
        return Gates(kernels, cumulated(widths), keep), torch.cat([outer, inner])

    def _indicators(self, importances: Tensor, start: int, factors: Tensor | None) -> Tensor:
        """Decisions [k] on groups whose thresholds begin at `start`."""
        here = slice(start, start + len(importances))
        found = indicator(importances / self.widths[here], self.thresholds[here], straight=self.training)
        return found if factors is None else found * factors[here]


class _Grid:
    """Operators as kernels times expansions: `indices[k, e]` is the operator of the k-th kernel, the e-th expansion."""

    def __init__(self, kernels: tuple[int, ...], expansions: tuple[float, ...], ops: Sequence[Op]) -> None:
        self.kernels, self.expansions = kernels, expansions
        names = [op.name for op in ops]
        self.skip = names.index(SKIP.name) if SKIP.name in names else None
        self.indices = {
            (k, e): names.index(name)
            for k, kernel in enumerate(kernels)
            for e, expansion in enumerate(expansions)
            if (name := f"k{kernel}e{expansion:g}") in names
        }


def grid_of(ops: Sequence[Op]) -> _Grid:
    """Raises SearchError unless the operators are all combinations of kernels and expansions, and perhaps a skip."""
    made = [(op, op.make) for op in ops if op != SKIP]
    odd = [op.name for op, make in made if not _fits(make)]
    blocks = [make for _, make in made if isinstance(make, MBConvOp)]
    kernels, expansions = sorted({b.kernel for b in blocks}), sorted({b.expansion for b in blocks})
    wanted = [f"k{k}e{e:g}" for k in kernels for e in expansions]
    missing = [name for name in wanted if name not in [op.name for op in ops]]
    if odd or missing or not blocks:
        found = f"found {', '.join(odd)}" if odd else f"{', '.join(missing) or 'blocks'} missing"
        raise SearchError(
            "a superkernel must choose among all combinations of kernels and expansions above 1, like "
            f"'k3e3,k3e6,k5e3,k5e6,skip', without groups or squeeze-and-excitation; {found}"
        )
    return _Grid(tuple(kernels), tuple(expansions), ops)


def _fits(make: object) -> bool:
    return isinstance(make, MBConvOp) and make.groups == 1 and not make.se and make.expansion > 1


def _shells(kernels: Sequence[int]) -> Tensor:
    """[m, K, K]: the innermost kernel, and what each larger one adds to it; together all of K x K."""
    largest = kernels[-1]
    squares = torch.zeros(len(kernels), largest, largest)
    for row, kernel in enumerate(kernels):
        margin = (largest - kernel) // 2
        squares[row, margin : margin + kernel, margin : margin + kernel] = 1
    return torch.cat([squares[:1], squares[1:] - squares[:-1]])


def _members(bounds: Sequence[int]) -> Tensor:
    """[n, C_hid]: which channels each expansion adds."""
    members = torch.zeros(len(bounds) - 1, bounds[-1])
    for row, (first, last) in enumerate(pairwise(bounds)):
        members[row, first:last] = 1
    return members
