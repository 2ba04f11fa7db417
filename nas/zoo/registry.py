"""The table of networks that a checkpoint may name and `zoo:NAME` builds."""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call
from torch import nn

from nascc.nas.errors import SearchError
from nascc.nas.zoo import efficientnet, mobilenet_v3_tables, resnet
from nascc.nas.zoo.fastdepth import fastdepth, fastdepth_toy
from nascc.nas.zoo.mobilenet_v1 import mobilenet_v1
from nascc.nas.zoo.mobilenet_v2 import mobilenet_v2
from nascc.nas.zoo.repvgg import repvgg_a0
from nascc.nas.zoo.searched import searched, ssdlite

_strict = validate_call(config=ConfigDict(strict=True))


@dataclass(frozen=True)
class Architecture:
    """A registered network: its builder, whose annotations say which configurations exist, and its usual inputs.

    Sides of images must be multiples of `sides`.
    """

    build: Callable[..., nn.Module]
    inputs: tuple[str, ...] = ("x:1x3x224x224",)
    sides: int = 1

    def __call__(self, **config: Any) -> nn.Module:
        """Build the network. Raises SearchError naming everything that is wrong with `config`."""
        try:
            return _strict(self.build)(**config)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors())
            raise SearchError(f"the configuration must fit '{self.build.__name__}', found {faults}") from error

    def takes(self, option: str) -> bool:
        """Is there an option of that name?"""
        return option in inspect.signature(self.build).parameters


ARCHITECTURES: dict[str, Architecture] = {
    build.__name__: Architecture(build) for build in (mobilenet_v2, repvgg_a0, searched, ssdlite)
}
ARCHITECTURES |= {name: Architecture(resnet.builder(name)) for name in resnet.DEPTHS}
ARCHITECTURES |= {
    name: Architecture(efficientnet.builder(name), (f"x:1x3x{variant.side}x{variant.side}",))
    for name, variant in efficientnet.VARIANTS.items()
}
ARCHITECTURES |= {
    build.__name__: Architecture(build)
    for build in (
        mobilenet_v1,
        mobilenet_v3_tables.mobilenet_v3_large,
        mobilenet_v3_tables.mobilenet_v3_pow2,
        mobilenet_v3_tables.mobilenet_v3_x125,
    )
}
ARCHITECTURES |= {
    "netadapt_toy": Architecture(mobilenet_v3_tables.netadapt_toy, ("x:1x1x24x24",)),
    "fastdepth": Architecture(fastdepth, sides=32),
    "fastdepth_toy": Architecture(fastdepth_toy, ("x:1x3x48x48",), sides=8),
}


def find_architecture(name: str) -> Architecture:
    """The network of a name. Raises SearchError with the near matches."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    near = difflib.get_close_matches(name, ARCHITECTURES) or ARCHITECTURES
    raise SearchError(f"a network must be one of the zoo, got '{name}': try {', '.join(near)}")
