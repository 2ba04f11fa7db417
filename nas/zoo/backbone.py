"""A searched network as a backbone: its feature maps at several strides instead of its scores."""

from collections.abc import Sequence

from torch import Tensor, nn

from nascc.nas.errors import SearchError
from nascc.nas.spaces import MacroSpace

STRIDES = (4, 8, 16, 32)


class Backbone(nn.Module):
    """Images [N, C, H, W] -> one map [N, C_s, H / s, W / s] for each stride s, finest first.

    A map is what the last block of its stride gives; head and classifier are left out.
    """

    def __init__(self, space: MacroSpace, network: nn.Sequential, strides: Sequence[int] = STRIDES) -> None:
        super().__init__()
        last = _last_of_stride(space)
        if missing := [s for s in strides if s not in last]:
            raise SearchError(f"strides must be among {sorted(last)}, which the network has, got {missing}")
        names = {last[s]: s for s in strides}
        self.parts = nn.ModuleDict({name: part for name, part in network.named_children() if name != "head"})
        self.taken = tuple(name for name in self.parts if name in names)
        self.channels = tuple(p.ctx.c_out for p in space.places if p.name in names)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for name, part in self.parts.items():
            x = part(x)
            if name in self.taken:
                maps.append(x)
        return tuple(maps)


def _last_of_stride(space: MacroSpace) -> dict[int, str]:
    """The name of the last part before the head at each stride."""
    found, stride = {}, 1
    for place in space.places[:-1]:
        stride *= place.ctx.stride
        found[stride] = place.name
    return found
