"""The two phases of a bilevel search."""

from dataclasses import dataclass

from nascc.nas.bilevel.loop import LOGGED, PRETRAIN, Loop
from nascc.nas.bilevel.strategy import Strategy
from nascc.nas.bilevel.supernet import TrainedSuperNet
from nascc.nas.core import Phase
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import goals_of
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.run import RunDirectory


def bilevel_phases(config: RunConfig, strategy: Strategy) -> tuple[Phase, ...]:
    """The weights alone, then one search a goal."""
    searches = (Search(strategy, goal.name, goal.phase("search")) for goal in goals_of(config))
    return Pretrain(strategy), *searches


@dataclass(frozen=True)
class Pretrain:
    """Weights alone, as the warm-up of the strategy draws."""

    strategy: Strategy
    name: str = PRETRAIN

    def run(self, run: RunDirectory) -> None:
        """Read the task; write the state of the supernet, which every search of the run starts from."""
        supernet = TrainedSuperNet.of(run, self.strategy)
        config, trainer = supernet.config, supernet.trainer
        sampler = self.strategy.warmup(supernet.problem.space, config)
        total = config.schedule.warmup_steps
        steps = run.steps(self.name, total, save=trainer.state_dict, load=trainer.load_state_dict, seed=config.seed)
        for step in steps:
            loss = trainer.step(step, sampler.draw(step, config.weights.batch_size))
            if step % LOGGED == 0:
                steps.log(loss=loss)

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one optimiser step of the warm-up."""
        supernet = TrainedSuperNet.of(run, self.strategy)
        config, trainer = supernet.config, supernet.trainer
        sampler = self.strategy.warmup(supernet.problem.space, config)
        size = config.weights.batch_size
        step = lambda index: trainer.step(index, sampler.draw(index, size))  # noqa: E731
        return {self.name: Timed(step, config.schedule.warmup_steps)}


@dataclass(frozen=True)
class Search:
    """Weights and logits in turn, until the most likely architecture uses the budget."""

    strategy: Strategy
    goal: str
    name: str

    def run(self, run: RunDirectory) -> None:
        """Read the pretrained supernet and the limits of the goal; write the architecture found, and its rivals."""
        loop = Loop(run, self.strategy, self.goal, self.name)
        loop.run()
        run.finish(self.name, loop.result())

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one on the weights, and what goes with it on the logits."""
        loop = Loop(run, self.strategy, self.goal, self.name)
        return {self.name: Timed(loop.cycle, loop.schedule.cycles * loop.schedule.weights_block)}
