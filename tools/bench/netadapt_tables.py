"""What the tables of the paper vary, on the embedded tasks: all ways shrink to half the latency, and train alike."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean, pstdev

import torch

from nascc.nas.core import Arch
from nascc.nas.elastic import ElasticNet
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.netadapt.descent import Adaptation, Descent
from nascc.nas.netadapt.profile import limits
from nascc.nas.netadapt.ranking import Ranker
from nascc.nas.netadapt.search import adaptation
from nascc.nas.netadapt.study import SUPERNET, Study
from nascc.nas.run import RunDirectory
from nascc.nas.train import Training, judge
from nascc.tools.bench.netadapt_embedded import Runs

SHORT = 40
"""Steps that a sample trains in the manner of NetAdaptV1."""
SAMPLES, STEPS = (8, 24, 48), (0.04, 0.06, 0.12)
VARIED = 3


def report_tables(runs: Runs, seeds: Sequence[int]) -> None:
    """Print one block a table; scores are of the test images, after all were trained by the run's own recipe."""
    seed = seeds[0]
    own = _Supernet(runs, "bypass", runs.config(seed, baselines="none"))
    without = _Supernet(runs, "no-bypass", runs.config(seed, baselines="none", elastic={"bypass": False}))
    few = own.config.descent.settings
    single = Descent(1, 1, few.step / 3, few.decay, single=True)
    print(
        f"supernets: {own.seconds:.0f} s each; scores are {'accuracy' if runs.task == 'classification' else '-RMSE, m'}"
    )
    print("Tables 4 and 11: bypasses, and several layers at once")
    for name, net, settings in (
        ("no bypass, one layer", without, single),
        ("bypass, one layer", own, single),
        ("bypass, several layers", own, few),
    ):
        net.report(name, settings)
    print("Table 3: samples judged by the supernet, or trained one by one (NetAdaptV1)")
    own.report("ordered dropout", few)
    own.report(f"each sample trained for {SHORT} steps", replace(few, samples=max(4, few.samples // 4)), trains=True)
    print("Table 5: samples J of an iteration, and step r0")
    for samples in SAMPLES:
        own.report(f"J = {samples}, r0 = {few.step:.0%}", replace(few, samples=samples))
    for step in STEPS:
        own.report(f"J = {few.samples}, r0 = {step:.0%}", replace(few, step=step))
    print("Table 6: how much results vary")
    fixed = [own.report(f"same supernet, search {k}", few, seed=k) for k in range(VARIED)]
    other = [
        _Supernet(runs, f"supernet{k}", runs.config(k, baselines="none")).report(
            f"supernet {k}, search {k}", few, seed=k
        )
        for k in range(VARIED)
    ]
    for name, found in (("the supernet fixed", fixed), ("not fixed", other)):
        print(f"  {name}: mean {mean(found):.4f}, standard deviation {pstdev(found):.4f}")


class _Supernet:
    """A run that was taken as far as its supernet."""

    def __init__(self, runs: Runs, name: str, config: NetAdaptConfig) -> None:
        started = time.thread_time()
        self.path = runs.run(f"{runs.task}-{name}", config, until=SUPERNET).path
        self.seconds = time.thread_time() - started
        self.config = config
        self.study = Study(config, self.path)
        self.net: ElasticNet = self.study.supernet()

    def report(self, name: str, settings: Descent, seed: int = 0, trains: bool = False) -> float:
        """Search, train what was found, print it; returns its score."""
        started = time.thread_time()
        descent = self._descent(settings, seed, trains)
        end = descent.run()[-1]
        searched = time.thread_time() - started
        score = self._trained(end.arch)
        print(
            f"  {name:38} score {score:.4f}, proxy {end.score:.4f}, {end.cost:.3f} of {descent.target:.3f}, "
            f"{descent.total} samples, {searched:.0f} s of CPU",
            flush=True,
        )
        return score

    def _descent(self, settings: Descent, seed: int, trains: bool) -> Adaptation:
        with RunDirectory.resume(self.path, self.config) as run:
            cost, (goal,) = self.study.cost(run), limits(run)
        ranker = Ranker(self.net, self.study.task, self.config.ranking)
        found = adaptation(self.study, cost, ranker, goal.at_most)
        score: Callable[[Arch], float] = (lambda arch: self._short(arch, ranker)) if trains else ranker.score
        return replace(found, settings=settings, seed=seed, score=score)

    def _short(self, arch: Arch, ranker: Ranker) -> float:
        """A sample trained for a while, as NetAdaptV1 does it, and then judged."""
        module = self.net.extract(arch)
        recipe = self.config.retrain.model_copy(update={"epochs": 1})
        training = Training(module, self.study.task.split("weights"), recipe, seed=0, phase="short")
        for step in range(min(SHORT, training.total)):
            training.step(step)
        found = judge(training.finish(), ranker.images)
        return -found.loss if self.config.ranking.by == "loss" else found.score

    def _trained(self, arch: Arch) -> float:
        torch.manual_seed(self.config.seed)
        training = Training(
            self.net.extract(arch), self.study.task.split("train"), self.config.retrain, seed=self.config.seed
        )
        for step in range(training.total):
            training.step(step)
        return judge(training.finish(), self.study.task.split("test")).score
