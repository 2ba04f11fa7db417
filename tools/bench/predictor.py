"""Predictors of latency against a truth that differs from the model: how near each comes, from how many measurements.

Run it from a checkout: `python -m nascc.tools.bench.predictor`; describing the space takes half a minute, once.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nascc.nas.core.randomness import derive, rng
from nascc.nas.core.space import Space
from nascc.nas.costs import PREDICTORS, Deployment, Describer, Networks, PairwiseCost, describe
from nascc.nas.costs.pairwise import Pairwise
from nascc.nas.macro import load_macro, macro_names
from nascc.nas.spaces import MacroSpace
from nascc.runtime.profile import load_target

DEVIATION, NOISE, ASKED = 0.10, 0.01, 1000
"""Lognormal deviation of an operator's true cost; relative noise of a measurement; networks that are predicted."""
WANTED = {100: 2.0, 1000: 1.2}
"""The largest error of the default predictor, in noises, from so many measurements."""
UNFITTED = "model alone"


@dataclass(frozen=True)
class Found:
    """Root mean square errors against the noise-free truth, in noises, by predictor."""

    seed: int
    measured: int
    errors: dict[str, float]


def truth_of(form: Pairwise, seed: int) -> Pairwise:
    """The costs with every operator's deviating on its own."""
    random = np.random.default_rng(derive(seed, "truth"))
    own = tuple(tuple(value * float(np.exp(DEVIATION * random.standard_normal())) for value in row) for row in form.own)
    return replace(form, own=own)


def compare(cost: PairwiseCost, space: Space, measured: Sequence[int], seed: int) -> Iterator[Found]:
    """Fit every predictor on so many measured networks, and ask it about others."""
    truth, random = truth_of(cost.form, seed), rng(seed, "networks")
    asked = [space.random(random) for _ in range(ASKED)]
    expected = np.array([truth(arch) for arch in asked])
    noise = np.random.default_rng(derive(seed, "noise"))
    for count in measured:
        archs = tuple(space.random(random) for _ in range(count))
        values = np.array([truth(arch) for arch in archs]) * (1 + NOISE * noise.standard_normal(count))
        networks = Networks(space, cost.metric, archs, values)
        errors = {UNFITTED: np.array([cost(arch) for arch in asked]) / expected - 1}
        for name, fit in PREDICTORS.items():
            fitted = fit(networks, cost)
            errors[name] = np.array([fitted(arch) for arch in asked]) / expected - 1
        yield Found(seed, count, {name: float(np.sqrt(np.mean(e**2))) / NOISE for name, e in errors.items()})


def failures(found: Sequence[Found]) -> list[str]:
    """What the default predictor falls short of."""
    missed = []
    for f in found:
        default, *others = PREDICTORS
        if f.errors[default] > WANTED.get(f.measured, np.inf):
            missed.append(f"seed {f.seed}, {f.measured} networks: {f.errors[default]:.2f} noises")
        missed += [
            f"seed {f.seed}, {f.measured} networks: {name} is ahead of {default}"
            for name in others
            if f.measured in WANTED and f.errors[name] < f.errors[default]
        ]
    return missed


def main() -> None:
    """Describe, compare, print; exit with 1 where the default predictor falls short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--macro", default="lightnas", choices=macro_names(), help="search space")
    parser.add_argument("--target", default="xavier", help="its latency model is what the truth differs from")
    parser.add_argument("--batch", type=int, default=8, help="images an inference")
    parser.add_argument("--measured", type=int, nargs="+", default=[10, 30, *WANTED], help="numbers of networks")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where descriptions are kept for the next time")
    options = parser.parse_args()
    space = MacroSpace(load_macro(options.macro), classes=1000)
    describer = Describer(Deployment(load_target(options.target), options.batch), options.folder)
    console = Console(width=120)
    with console.status("describing") as status:
        told = lambda done, total, what: status.update(f"describing {done} of {total}: {what}")  # noqa: E731
        cost = describe(space, describer, told).cost("latency")
    table = Table("seed", "measured", *(UNFITTED, *PREDICTORS), title="RMSE against the noise-free truth, in noises")
    found = [f for seed in range(options.seeds) for f in compare(cost, space, options.measured, seed)]
    for f in found:
        table.add_row(str(f.seed), str(f.measured), *(f"{error:.2f}" for error in f.errors.values()))
    console.print(table)
    console.print(f"true operators deviate by lognormal {DEVIATION:.0%}, measurements by {NOISE:.0%}", highlight=False)
    if missed := failures(found):
        console.print("FAILED " + "; ".join(missed), highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
