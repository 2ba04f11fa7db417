"""Supernets: one module that can evaluate every architecture of a space without training it."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from nascc.nas.core.selection import Sel
from nascc.nas.core.space import Arch, Space
from nascc.nas.errors import SearchError


class SuperNet(nn.Module, ABC):
    """Contract: in eval mode `extract(a)(x)` equals `self(x, a)`, for every legal `a`."""

    space: Space

    @abstractmethod
    def forward(self, x: Tensor, sel: Sel = None) -> Tensor:
        """Images [N, C, H, W] -> logits [N, classes].

        With coefficients [S, C], operators with a non-zero one run, are scaled and summed; with indices [N, S] each
        image takes its own way. Raises IllegalArchitecture.
        """

    def prefix(self, x: Tensor) -> Tensor:
        """What comes before anything that a selection decides; `self(x, sel)` is `after_prefix(prefix(x), sel)`."""
        return x

    def after_prefix(self, x: Tensor, sel: Sel = None) -> Tensor:
        """The rest of the network."""
        return self(x, sel)  # type: ignore[no-any-return]

    def decide(self) -> Arch:
        """The architecture that the supernet's own weights stand for. Raises SearchError where they decide nothing."""
        raise SearchError(f"{type(self).__name__} must be told which operators run: its weights decide nothing")

    def coeffs(self) -> Tensor | None:
        """Coefficients [S, C] from the supernet's own weights, with gradients; None where they decide nothing."""
        return None

    @abstractmethod
    def extract(self, arch: Arch) -> nn.Module:
        """The static network of `arch`, with copies of the trained weights and statistics."""
