"""The phase that trains the supernet once, by ordered dropout, so that every sub-network can be judged untrained."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from nascc.nas.elastic import ElasticNet
from nascc.nas.elastic.ordered_dropout import OrderedDropout
from nascc.nas.netadapt.study import SUPERNET, WEIGHTS, Study, Workbench
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.supernets.weights import WeightTrainer
from nascc.nas.train import build_ema

LOGGED = 10
"""Every so many steps a line goes to the journal."""


@dataclass(frozen=True)
class Pretrain:
    """Ordered dropout on the images for weights; what is left are the averages, where the recipe has an `ema`."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = SUPERNET

    def run(self, run: RunDirectory) -> None:
        """Write the weights of the supernet."""
        loop = Loop(self.bench.study(run))
        steps = run.steps(self.name, loop.total, save=loop.state, load=loop.load, seed=loop.seed)
        for step in steps:
            loss = loop.step(step)
            if step % LOGGED == 0 or step == loop.total - 1:
                steps.log(loss=loss)
        write_whole(run.path / WEIGHTS, save({n: t.contiguous() for n, t in loop.weights().items()}))
        run.finish(self.name, {"steps": loop.total})

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one of ordered dropout."""
        loop = Loop(self.bench.study(run))
        return {self.name: Timed(loop.step, loop.total)}


class Loop:
    """The training of a supernet."""

    def __init__(self, study: Study) -> None:
        self.study, config = study, study.config
        self.seed, self.total = config.seed, config.dropout.steps
        self.dropout = OrderedDropout(study.space, config.seed, config.dropout.whole, config.dropout.kernels)
        self.batch = config.weights.batch_size

    @cached_property
    def net(self) -> ElasticNet:
        torch.manual_seed(self.seed)
        return self.study.fresh()

    @cached_property
    def trainer(self) -> WeightTrainer:
        images = self.study.task.split("weights")
        return WeightTrainer(self.net, images, self.study.config.weights, self.total, self.seed)

    @cached_property
    def ema(self) -> AveragedModel | None:
        """The averaged supernet."""
        decay = self.study.config.weights.ema
        return build_ema(self.trainer.net, decay) if decay else None

    def step(self, step: int) -> float:
        """One step; returns the loss."""
        loss = self.trainer.step(step, [self.dropout.draw(step, self.batch)])
        if self.ema is not None:
            self.ema.update_parameters(self.net)
        return loss

    def state(self) -> dict[str, Any]:
        averages = {} if self.ema is None else {"ema": self.ema.state_dict()}
        return self.trainer.state_dict() | averages

    def load(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])

    def weights(self) -> dict[str, Tensor]:
        """What the search goes on with."""
        averaged = self.net if self.ema is None else self.ema.module
        return dict(averaged.state_dict())
