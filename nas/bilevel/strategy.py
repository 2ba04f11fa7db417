"""What makes one bilevel method differ from another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nascc.nas.bilevel.config import BilevelConfig
from nascc.nas.bilevel.paths import Paths
from nascc.nas.core import Space
from nascc.nas.supernets.sampling import FairSampler, Sampler


def fair_warmup(space: Space, config: BilevelConfig) -> Sampler:
    """Before logits mean anything, every operator of a slot trains equally often."""
    return FairSampler(space, config.seed, config.schedule.accumulate)


@dataclass(frozen=True)
class Strategy:
    """`config` is the kind of configuration; `warmup` draws the paths of the weights alone, `paths` those of a search.

    Both get the configuration of the run, of that kind.
    """

    config: type[BilevelConfig]
    paths: Callable[[Any], Paths]
    warmup: Callable[[Space, Any], Sampler] = fair_warmup
