"""Networks of macro spaces: what a search emits, and the same as the backbone of a detector."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from nascc.nas.data_files import checked
from nascc.nas.macro import Macro, load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.train.linearisation import install_hybrids
from nascc.nas.zoo.backbone import Backbone
from nascc.nas.zoo.seeding import seeded
from nascc.nas.zoo.ssdlite import SSDLite

Classes = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0)]
MacroData = str | dict[str, Any]


class Hybrid(BaseModel):
    """Where hybrid activations stand: their slope, the epoch it is of, and the one at which they will be linear."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: Annotated[float, Field(ge=0, lt=1)]
    epoch: Annotated[int, Field(ge=0)]
    linear_at: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1)]

    def __str__(self) -> str:
        return (
            f"the training of the network is not finished: activations inside its linear blocks have slope "
            f"{self.slope:.4g} after {self.epoch} epochs; they will be linear after epoch {self.linear_at:g} of "
            f"{self.epochs}, and collapse then"
        )


LIGHTNET_20MS = (
    "skip k3e3 k3e6 k7e3 k3e3 k5e3 k7e3 k3e6 k3e3 k7e6 k5e3 k7e6 k7e3 k5e3 k7e3 skip k5e3 k7e3 k7e3 k3e6 k7e6"
)
"""The smallest network that LightNAS published: 75.0 % on ImageNet in 20 ms on an AGX Xavier, batch 8."""
IMAGES, SMALLEST, LARGEST = 16, 64, 96
"""How many images seeding runs, and between which sides: enough for statistics of the last maps, and fast."""


def searched(
    arch: str = LIGHTNET_20MS,
    macro: MacroData = "lightnas",
    num_classes: Classes = 1000,
    se_last: int = 0,
    seed: Seed = 0,
    hybrid: dict[str, Any] | None = None,
) -> nn.Module:
    """The network of an architecture such as 'k3e6 skip ...', one operator per slot of the macro.

    `macro` is a name, or the content of a macro file; the last `se_last` slots get squeeze-and-excitation. In the
    middle of a training `hybrid` holds the fields of `Hybrid`.
    """
    space, indices = _space(arch, macro, num_classes, se_last)
    module = seeded(lambda: space.build(indices), seed, _images(space))
    if hybrid is not None:
        install_hybrids(module, checked(hybrid, Hybrid, "the hybrid activations of a network").slope)
    return module


def ssdlite(
    arch: str = LIGHTNET_20MS,
    macro: MacroData = "lightnas",
    num_classes: Classes = 91,
    se_last: int = 0,
    seed: Seed = 0,
) -> nn.Module:
    """SSDLite on the maps at strides 16 and 32 of a searched network, with four more maps behind them."""
    space, indices = _space(arch, macro, 1, se_last)
    return seeded(lambda: SSDLite(Backbone(space, space.build(indices), (16, 32)), num_classes), seed, _images(space))


def _space(arch: str, macro: MacroData, classes: int, se_last: int) -> tuple[MacroSpace, tuple[int, ...]]:
    space = MacroSpace(_macro(macro), classes, se_last=se_last)
    names = [name.removesuffix("se") for name in arch.split()]
    plain = MacroSpace(space.macro, classes)
    return space, plain.parse(" ".join(names))


def _macro(data: MacroData) -> Macro:
    if isinstance(data, str):
        return load_macro(data)
    return checked(data, Macro, "the macro of a network")


def _images(space: MacroSpace) -> tuple[int, int, int, int]:
    channels, height, width = space.input_shape
    return IMAGES, channels, max(SMALLEST, min(height, LARGEST)), max(SMALLEST, min(width, LARGEST))
