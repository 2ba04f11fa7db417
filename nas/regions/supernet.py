"""The teacher and all candidates in one network."""

import copy

import torch
from torch import Tensor, nn

from nascc.nas.core import Arch, Sel, SuperNet, check_selection
from nascc.nas.errors import SearchError
from nascc.nas.regions.chain import Chain
from nascc.nas.regions.space import RegionSpace


class RegionSuperNet(SuperNet):
    """Operator 0 of every slot is the teacher's block. Evaluates any student without training it."""

    def __init__(self, space: RegionSpace) -> None:
        super().__init__()
        self.space: RegionSpace = space
        parts = [copy.deepcopy(part) for part in space.chain.parts]
        self.places = space.chain.places
        self.parts = nn.ModuleList(nn.Identity() if index in self.places else part for index, part in enumerate(parts))
        self.slots = nn.ModuleList(
            nn.ModuleList([parts[self.places[slot]], *(space.candidate(slot, k) for k in range(1, len(own.ops)))])
            for slot, own in enumerate(space.slots)
        )

    def forward(self, x: Tensor, sel: Sel = None) -> Tensor:
        """See SuperNet. Raises IllegalArchitecture, SearchError for None: nothing decides here."""
        if sel is None:
            raise SearchError("a supernet of replacements must be told which operators run: its weights decide nothing")
        check_selection(sel, self.space, len(x))
        for index, part in enumerate(self.parts):
            x = self._slot(self.places.index(index), x, sel) if index in self.places else part(x)
        return x

    def extract(self, arch: Arch) -> Chain:
        """The student of an architecture, with copies of the weights."""
        chosen = {slot: copy.deepcopy(self._operator(slot, index)) for slot, index in enumerate(self.space.check(arch))}
        parts = [copy.deepcopy(part) for part in self.parts]
        for slot, module in chosen.items():
            parts[self.places[slot]] = module
        return Chain(parts, self.places)

    def _operator(self, slot: int, index: int) -> nn.Module:
        row = self.slots[slot]
        assert isinstance(row, nn.ModuleList)
        return row[index]

    def _slot(self, slot: int, x: Tensor, sel: Arch | Tensor) -> Tensor:
        if not isinstance(sel, Tensor):
            return self._operator(slot, sel[slot])(x)  # type: ignore[no-any-return]
        if sel.is_floating_point():
            running = sel[slot].detach().nonzero().flatten().tolist()
            outputs = [sel[slot, k].to(x.dtype) * self._operator(slot, k)(x) for k in running]
            return torch.stack(outputs).sum(0) if len(outputs) > 1 else outputs[0]
        return self._per_image(slot, x, sel[:, slot])

    def _per_image(self, slot: int, x: Tensor, chosen: Tensor) -> Tensor:
        """Each image goes through its own operator."""
        order = [torch.nonzero(chosen == k).flatten() for k in sorted(set(chosen.tolist()))]
        outputs = [self._operator(slot, int(chosen[rows[0]]))(x[rows]) for rows in order]
        return torch.cat(outputs)[torch.argsort(torch.cat(order))]
