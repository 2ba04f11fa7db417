"""A supernet in training, as both phases of a bilevel search need it."""

from dataclasses import dataclass

import torch

from nascc.nas.bilevel.config import BilevelConfig
from nascc.nas.bilevel.strategy import Strategy
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.supernets.weights import WeightTrainer


@dataclass(frozen=True)
class TrainedSuperNet:
    """Built from the configuration alone."""

    config: BilevelConfig
    problem: Problem
    trainer: WeightTrainer

    @classmethod
    def of(cls, run: RunDirectory, strategy: Strategy) -> "TrainedSuperNet":
        """With fresh weights, which follow from the seed."""
        config = run.config_as(strategy.config)
        problem = Problem(config)
        torch.manual_seed(config.seed)
        net = ChoiceSuperNet(problem.space, config.sharing, config.affine)
        total = config.schedule.weight_steps
        return cls(
            config, problem, WeightTrainer(net, problem.task.split("weights"), config.weights, total, config.seed)
        )

    @property
    def net(self) -> ChoiceSuperNet:
        net = self.trainer.net
        assert isinstance(net, ChoiceSuperNet)
        return net
