"""DW-NAS (DAC 2024): search deep, deploy shallow; linear blocks train as three convolutions and deploy as one."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from nascc.nas.bilevel import BilevelConfig, Strategy, bilevel_phases
from nascc.nas.bilevel.paths import PATHS
from nascc.nas.bilevel.strategy import UndecidedSampler, fair_warmup
from nascc.nas.blocks.linear_mbconv import Padding
from nascc.nas.blocks.operators import as_linear
from nascc.nas.core import Method, Space
from nascc.nas.methods.method import SearchMethod, standard_method
from nascc.nas.phases.config import RunConfig
from nascc.nas.supernets.sampling import Sampler


class DWNASConfig(BilevelConfig):
    """A run of DW-NAS.

    `paths` says which paths a step on the weights trains: `sandwich` (Eq. 8), or `single`, `every` (strict top-k) and
    `mixed` (all at once, by their probabilities) for comparison; `warmup` which ones train before the logits learn:
    `paths`, or `fair`, where every operator trains equally often. `padding` and `last` are those of the linear blocks:
    see `LinearMBConv`. How their activations vanish is `retrain.linear`.
    """

    paths: Literal["sandwich", "single", "every", "mixed"] = "sandwich"
    warmup: Literal["paths", "fair"] = "paths"
    padding: Padding = "bias"
    last: bool = True

    @model_validator(mode="before")
    @classmethod
    def _spelt_out(cls, values: Any) -> Any:
        """Linear operators by names that tell their padding and end."""
        if not isinstance(values, Mapping) or values.get("padding", "bias") not in ("bias", "first"):
            return values
        padding, last = values.get("padding", "bias"), bool(values.get("last", True))
        return {**values, "operators": [as_linear(name, padding, last) for name in values.get("operators", ())]}


def warmup(space: Space, config: DWNASConfig) -> Sampler:
    """What trains before the logits learn."""
    return fair_warmup(space, config) if config.warmup == "fair" else UndecidedSampler(space, config, _paths(config))


def _paths(config: DWNASConfig) -> Any:
    return PATHS[config.paths]


STRATEGY = Strategy(DWNASConfig, paths=_paths, warmup=warmup)


def phases(config: RunConfig) -> Method:
    """Profile, pretrain, one search a goal, retrain, emit."""
    return standard_method(config, bilevel_phases(config, STRATEGY))


DW_NAS = SearchMethod(
    name="dw-nas",
    title="DW-NAS (DAC 2024): search deep, deploy shallow, within the specified latency",
    config=DWNASConfig,
    phases=phases,
)
