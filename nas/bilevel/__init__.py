"""The bilevel search that several methods share: weights of a supernet and logits of operators learn in turn."""

from nascc.nas.bilevel.config import Architecture, BilevelConfig
from nascc.nas.bilevel.paths import Paths, single_path
from nascc.nas.bilevel.phases import Pretrain, Search, bilevel_phases
from nascc.nas.bilevel.schedule import Epochs, Schedule
from nascc.nas.bilevel.strategy import Strategy, fair_warmup

__all__ = [
    "Architecture",
    "BilevelConfig",
    "Epochs",
    "Paths",
    "Pretrain",
    "Schedule",
    "Search",
    "Strategy",
    "bilevel_phases",
    "fair_warmup",
    "single_path",
]
