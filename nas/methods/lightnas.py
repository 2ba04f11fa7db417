"""LightNAS (DAC 2022): one search, by gradients of architecture logits, that lands on the specified latency."""

from nascc.nas.bilevel import BilevelConfig, Strategy, bilevel_phases, single_path
from nascc.nas.core import Method
from nascc.nas.methods.method import SearchMethod, standard_method
from nascc.nas.phases.config import RunConfig


class LightNASConfig(BilevelConfig):
    """A run of LightNAS."""


STRATEGY = Strategy(LightNASConfig, paths=lambda config: single_path)


def phases(config: RunConfig) -> Method:
    """Profile, pretrain, one search a goal, retrain, emit."""
    return standard_method(config, bilevel_phases(config, STRATEGY))


LIGHTNAS = SearchMethod(
    name="lightnas",
    title="LightNAS (DAC 2022): one search that lands on the specified latency",
    config=LightNASConfig,
    phases=phases,
)
