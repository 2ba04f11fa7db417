"""Networks that a run trains: the found ones, and those they are compared with."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.core import Arch
from nascc.nas.macro import Macro
from nascc.nas.phases.transform_first import collapsed_macro, start_collapsed
from nascc.nas.spaces import MacroSpace

FOUND, TRANSFORM_FIRST = "found", "transform-first"


@dataclass(frozen=True)
class Network:
    """One network: `goal` is the budget it belongs to, `kind` is found, random, width, resolution or transform-first.

    `resolution` multiplies the sides of its images. Where an `origin` is given, the architecture has dense convolutions
    where that one has linear blocks, and begins as what an untrained network of it collapses to.
    """

    name: str
    goal: str
    kind: str
    arch: Arch
    macro: Macro
    classes: int
    se_last: int = 0
    resolution: float = 1.0
    origin: Arch | None = None

    def image(self, image: tuple[int, int, int]) -> tuple[int, int, int]:
        """What it reads where the others read `image` (C, H, W)."""
        channels, *sides = image
        height, width = (max(1, round(side * self.resolution)) for side in sides)
        return channels, height, width

    def space(self, image: tuple[int, int, int]) -> MacroSpace:
        """The space it is a member of, for what it reads where the others read `image` (C, H, W)."""
        return MacroSpace(self.macro, self.classes, input_shape=self.image(image), se_last=self.se_last)

    def build(self, image: tuple[int, int, int]) -> nn.Sequential:
        """The network with fresh weights, drawn from torch's global generator."""
        space = self.space(image)
        if self.origin is None:
            return space.build(self.arch)
        linear = space.build(self.origin)
        return start_collapsed(space.build(self.arch), linear)

    def transformed(self, name: str, norm: bool) -> "Network":
        """The same network collapsed before it is trained, with biases or with batch norms instead."""
        macro, arch = collapsed_macro(self.macro, self.arch, norm)
        return replace(self, name=name, kind=TRANSFORM_FIRST, arch=arch, macro=macro, origin=self.arch)

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration as a registered architecture (`searched`), for checkpoints."""
        space = MacroSpace(self.macro, self.classes)
        macro = self.macro.model_dump(mode="json")
        arch = space.name_of(self.arch)
        return {"arch": arch, "macro": macro, "num_classes": self.classes, "se_last": self.se_last}


class Resized(nn.Module):
    """A network that reads smaller or larger images than it is given: [N, C, H, W] -> logits [N, classes]."""

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, x: Tensor) -> Tensor:
        smaller = F.interpolate(x, self.size, mode="bilinear", antialias=True, align_corners=False)
        return self.network(smaller)  # type: ignore[no-any-return]
