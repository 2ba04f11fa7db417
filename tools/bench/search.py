"""Compare what a search finds with random networks of equal cost: `python -m nascc.tools.bench.search`.

For each seed one run with three budgets: found networks against random ones within 2 % of their cost, all trained by
one recipe; the rank correlation of the supernet with the trained accuracies; and what the supernet alone would have
picked among the random networks, which tells what the search adds.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from scipy.stats import kendalltau

from nascc.nas.methods import find_method
from nascc.nas.methods.configure import configure
from nascc.nas.phases.goals import Goal, goals_of
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.reranking import Rerank, score
from nascc.nas.phases.retrain import RETRAIN
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.tasks import TaskConfig
from nascc.tools.progress_bar import ProgressBar

Trained = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One budget of one seed. Accuracies are shares of the test images; `rank` counts from 1, the best of all."""

    seed: int
    budget: str
    found: float
    randoms: tuple[float, ...]
    picked: float
    tau: float

    @property
    def rank(self) -> int:
        """Where the found network stands among the random ones."""
        return 1 + sum(other > self.found for other in self.randoms)

    @property
    def picked_rank(self) -> int:
        """The same of the random network that the supernet likes best, among the others."""
        return 1 + sum(other > self.picked for other in self.randoms)


def outcome(run: RunDirectory, seed: int, goal: Goal) -> Outcome:
    """Read the trained networks of a goal, and let the supernet of its search rank them."""
    trained: list[Trained] = [n for n in run.result(RETRAIN)["networks"] if n["goal"] == goal.name]
    net, problem = supernet(run, goal)
    losses = [score(net, problem.task, problem.space.parse(n["arch"]), Rerank()).loss for n in trained]
    accuracies = [n["test"]["accuracy"] for n in trained]
    found, *randoms = accuracies
    liked = min(range(1, len(trained)), key=losses.__getitem__)
    tau = kendalltau([-loss for loss in losses], accuracies).statistic
    return Outcome(seed, goal.name, found, tuple(randoms), accuracies[liked], float(tau))


def supernet(run: RunDirectory, goal: Goal) -> tuple[ChoiceSuperNet, Problem]:
    """The supernet as the search of a goal left it."""
    config: Any = run.config
    problem = Problem(config)
    net = ChoiceSuperNet(problem.space, config.sharing, config.affine)
    state = run.load_state(goal.phase("search"))
    assert state is not None
    net.load_state_dict(state["trainer"]["supernet"])
    return net, problem


def report(outcomes: Sequence[Outcome]) -> None:
    """Print every outcome, and the means over the seeds."""
    print("seed  budget   found   median of random   rank   picked by supernet   rank   tau")
    for o in outcomes:
        print(
            f"{o.seed:4}  {o.budget:>6}   {o.found:.4f}  {median(o.randoms):.4f} of {len(o.randoms):2}       "
            f"{o.rank:4}   {o.picked:.4f}               {o.picked_rank:4}   {o.tau:+.2f}"
        )
    for budget in dict.fromkeys(o.budget for o in outcomes):
        own = [o for o in outcomes if o.budget == budget]
        gain = mean(o.found - median(o.randoms) for o in own)
        picked = mean(o.picked - median(o.randoms) for o in own)
        print(
            f"mean  {budget:>6}   found {gain:+.4f} against the median, rank {mean(o.rank for o in own):.1f} of "
            f"{len(own[0].randoms) + 1}; supernet alone {picked:+.4f}, rank {mean(o.picked_rank for o in own):.1f}; "
            f"tau {mean(o.tau for o in own):+.2f}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.search", description=__doc__)
    parser.add_argument("--method", default="lightnas")
    parser.add_argument("--target", default="nano")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budgets", default="35%,50%,65%", help="of the latency range")
    parser.add_argument("--random", type=int, default=10, help="random networks a budget")
    parser.add_argument("--folder", type=Path, required=True, help="where the runs lie; what is there is gone on with")
    chosen = parser.parse_args(arguments)
    method, outcomes = find_method(chosen.method), list[Outcome]()
    for seed in chosen.seeds:
        asked = {"budgets": {"latency": chosen.budgets}, "baselines": f"random:{chosen.random}", "seed": seed}
        config = configure(method, "toy", chosen.target, TaskConfig(), asked)
        with ProgressBar() as bar, RunDirectory.resume(chosen.folder / f"seed{seed}", config, progress=bar) as run:
            run_phases(method.phases(config), run)
            outcomes += [outcome(run, seed, goal) for goal in goals_of(config)]
    report(outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
