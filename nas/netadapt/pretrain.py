"""The phase that trains the supernet once, by ordered dropout, so that every sub-network can be judged untrained."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from safetensors.torch import save

from nascc.nas.elastic import ElasticNet
from nascc.nas.elastic.ordered_dropout import OrderedDropout
from nascc.nas.netadapt.study import SUPERNET, WEIGHTS, Study, Workbench
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.supernets.weights import WeightTrainer

LOGGED = 10
"""Every so many steps a line goes to the journal."""


@dataclass(frozen=True)
class Pretrain:
    """Ordered dropout on the images for weights."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = SUPERNET

    def run(self, run: RunDirectory) -> None:
        """Write the weights of the supernet."""
        loop = Loop(self.bench.study(run))
        steps = run.steps(
            self.name, loop.total, save=loop.trainer.state_dict, load=loop.trainer.load_state_dict, seed=loop.seed
        )
        for step in steps:
            loss = loop.step(step)
            if step % LOGGED == 0 or step == loop.total - 1:
                steps.log(loss=loss)
        write_whole(run.path / WEIGHTS, save({n: t.contiguous() for n, t in loop.net.state_dict().items()}))
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

    def step(self, step: int) -> float:
        """One step; returns the loss."""
        return self.trainer.step(step, [self.dropout.draw(step, self.batch)])
