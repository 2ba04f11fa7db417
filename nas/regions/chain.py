"""A network as a chain of parts, some of them blocks that may be replaced."""

import copy
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn


class Chain(nn.Module):
    """Parts one after another, images [N, C, H, W] -> logits [N, classes]; `places[slot]` is the part that slot is."""

    def __init__(self, parts: Sequence[nn.Module], places: Sequence[int]) -> None:
        super().__init__()
        self.parts, self.places = nn.ModuleList(parts), tuple(places)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def slot_io(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """What goes into and comes out of the block of each slot, in order; nothing behind the last one runs."""
        waiting = list(self.places)
        for index, part in enumerate(self.parts):
            if not waiting:
                return
            y = part(x)
            if index == waiting[0]:
                waiting.pop(0)
                yield x, y
            x = y

    def after(self, slot: int) -> nn.Sequential:
        """The parts behind a slot, shared."""
        return nn.Sequential(*list(self.parts)[self.places[slot] + 1 :])

    def block(self, slot: int) -> nn.Module:
        """The part that a slot is."""
        return self.parts[self.places[slot]]

    def with_blocks(self, blocks: Mapping[int, nn.Module], *, copied: bool = True) -> "Chain":
        """The chain with other modules in some slots; everything is copied, unless the parts may be shared."""
        parts = list(self.parts)
        for slot, module in blocks.items():
            parts[self.places[slot]] = module
        return Chain([copy.deepcopy(part) for part in parts] if copied else parts, self.places)
