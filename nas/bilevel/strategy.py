"""What makes one bilevel method differ from another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nascc.nas.bilevel.config import BilevelConfig
from nascc.nas.bilevel.paths import Paths
from nascc.nas.core import Sel, Space
from nascc.nas.core.randomness import generator
from nascc.nas.search import Learner
from nascc.nas.supernets.sampling import FairSampler, Sampler


def fair_warmup(space: Space, config: BilevelConfig) -> Sampler:
    """Before logits mean anything, every operator of a slot trains equally often."""
    return FairSampler(space, config.seed, config.schedule.accumulate)


class UndecidedSampler(Sampler):
    """The paths of a search whose logits have learned nothing yet."""

    def __init__(self, space: Space, config: BilevelConfig, paths: Paths) -> None:
        self._seed, self._paths = config.seed, paths
        self._learner = Learner(space.choices, (), config.architecture.settings(1), generator(config.seed, "undecided"))

    def draw(self, step: int, batch: int) -> list[Sel]:
        return list(self._paths(self._learner, generator(self._seed, "undecided", step)))


@dataclass(frozen=True)
class Strategy:
    """`config` is the kind of configuration; `warmup` draws the paths of the weights alone, `paths` those of a search.

    Both get the configuration of the run, of that kind.
    """

    config: type[BilevelConfig]
    paths: Callable[[Any], Paths]
    warmup: Callable[[Space, Any], Sampler] = fair_warmup
