"""Activations inside linear operators on their way to the identity while a network is trained."""

from collections.abc import Iterable
from itertools import chain

from torch import Tensor, nn

from nascc.nas.blocks.hybrid_activation import HybridActivation
from nascc.nas.blocks.linear_mbconv import LinearMBConv
from nascc.nas.supernets.recalibration import recalibrate


def hybrids(*modules: nn.Module) -> list[HybridActivation]:
    """All hybrid activations inside modules."""
    return [part for part in chain(*(m.modules() for m in modules)) if isinstance(part, HybridActivation)]


def install_hybrids(module: nn.Module, slope: float = 0.0) -> None:
    """Put hybrid activations where the linear operators inside a module have identities."""
    for block in module.modules():
        if isinstance(block, LinearMBConv):
            block.inner = nn.ModuleList(HybridActivation(block.ctx.activation, slope) for _ in block.inner)


def set_slope(slope: float, *modules: nn.Module) -> None:
    """The slope of all hybrid activations inside modules."""
    for hybrid in hybrids(*modules):
        hybrid.slope.fill_(slope)


def remove_hybrids(*modules: nn.Module) -> None:
    """Put identities where hybrid activations are: what a slope of 1 stands for, without its rounding."""
    for module in modules:
        for block in module.modules():
            if isinstance(block, LinearMBConv):
                block.inner = nn.ModuleList(nn.Identity() for _ in block.inner)


def linearise(slope: float, images: Iterable[Tensor], *modules: nn.Module) -> None:
    """Set a slope below 1; at 1 put identities there, and give batch norms the statistics that `images` have then.

    Modules without hybrid activations stay as they are.
    """
    if slope < 1:
        set_slope(slope, *modules)
        return
    batches: list[Tensor] = []
    for module in modules:
        if hybrids(module):
            remove_hybrids(module)
            batches = batches or list(images)
            recalibrate(module, batches)
