"""Search on oracles with known optima: is the limit kept, and how near does one search come to the best under it.

Each table is searched from the fastest and from the slowest architecture, at several budgets and seeds. Beside it stand
the controller as the paper prints it, and how many runs with a fixed lambda it takes to come within 2 % of the budget.
Run it from a checkout: `python -m nascc.tools.bench.controller --quick`.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from nascc.nas.core.cost import LEAST_SHARE
from nascc.nas.search import Controller, Damped, Fixed, Published, Settings
from nascc.tools.bench.collapse_results import Check
from nascc.tools.bench.controller_search import STARTS, Outcome, best_of, limit_at, outcome, searched
from nascc.tools.bench.controller_tables import PROBLEMS, Problem, read
from nascc.tools.errors import CommandError

BUDGETS = (0.2, 0.35, 0.5, 0.65, 0.8)
NEAR, MOST_RUNS = 0.02, 12
LEGEND = """kept: after repair within [0.97 T, T]; miss: |cost - T| / T of the most likely architecture, mean; before:
the same of what repair starts from (an architecture met within the limits, if one is near); swaps: most; utility: least
ratio to the exact optimum under T; share: counted from the least of the space; of 12: the best of 12 candidates."""
MISS_FLOOR, SWAPS_FLOOR, UTILITY_FLOOR = 0.03, 3, 0.95


@dataclass(frozen=True)
class Series:
    """All searches of one controller on one table."""

    table: str
    estimator: str
    controller: str
    outcomes: tuple[Outcome, ...]

    @property
    def misses(self) -> tuple[float, float]:
        """Mean |cost - T| / T of the most likely architectures and of what is repaired."""
        sides = ([o.likely for o in self.outcomes], [o.before for o in self.outcomes])
        likely, before = (sum(abs(used - 1) for used in side) / len(side) for side in sides)
        return likely, before

    @property
    def floors(self) -> Iterator[Check]:
        """What must be reached."""
        on, many = f"{self.table}, {self.estimator}: ", self.outcomes
        yield Check(on + "searches that break the limit", float(sum(not o.kept for o in many)), 0)
        yield Check(on + "least share of the limit that is used", min(o.after for o in many), LEAST_SHARE, True)
        yield Check(on + "|cost - T| / T before repair, mean", self.misses[1], MISS_FLOOR)
        yield Check(on + "swaps to repair, most", float(max(o.swaps for o in many)), SWAPS_FLOOR)
        yield Check(on + "utility / optimum, least", min(min(o.utility, o.share) for o in many), UTILITY_FLOOR, True)
        yield Check(on + "the same, best of 12 candidates", min(o.reranked for o in many), UTILITY_FLOOR, True)


def run(problem: Problem, settings: Settings, name: str, seeds: int) -> Series:
    """Search from both ends at every budget."""
    found = []
    for fraction in BUDGETS:
        limit = limit_at(problem, fraction)
        best = best_of(problem, limit)
        for seed in range(seeds):
            for start in STARTS:
                learner = searched(problem, limit, start, settings, seed)
                found.append(outcome(problem, limit, best, learner))
    return Series(problem.name, settings.estimator, name, tuple(found))


def published(settings: Settings) -> Settings:
    """The paper's controller at the same number of steps; its ratio of eta to the learning rate was 0.5."""
    temperature = replace(settings.temperature, floor=0.0)
    control = Published(eta=0.5 * settings.lr)
    return replace(settings, controller=control, temperature=temperature, baseline="mean", prefer="logp")


def runs_by_trial(problem: Problem, settings: Settings, fraction: float) -> int | None:
    """Searches with a fixed lambda, doubled or halved and then bisected, until the cost is within 2 % of the budget."""
    limit, low, high, value = limit_at(problem, fraction), 0.0, 0.0, 1.0
    for count in range(1, MOST_RUNS + 1):
        control: Controller = Fixed(value)
        used = limit.used(
            searched(problem, limit, "slowest", replace(published(settings), controller=control), 0).argmax()
        )
        if abs(used - 1) <= NEAR:
            return count
        low, high = (value, high) if used > 1 else (low, value)
        value = 2 * low if high == 0 else (low + high) / 2
    return None


def print_series(console: Console, found: Sequence[Series]) -> None:
    columns = (
        "table",
        "estimator",
        "controller",
        "kept",
        "miss %",
        "before %",
        "swaps",
        "utility %",
        "share %",
        "of 12 %",
    )
    table = Table(*columns)
    for s in found:
        many = s.outcomes
        kept = f"{sum(o.kept and o.after >= LEAST_SHARE for o in many)}/{len(many)}"
        misses = (f"{100 * miss:.2f}" for miss in s.misses)
        utilities = ([o.utility for o in many], [o.share for o in many], [o.reranked for o in many])
        shown = (f"{100 * min(side):.1f}" for side in utilities)
        table.add_row(s.table, s.estimator, s.controller, kept, *misses, str(max(o.swaps for o in many)), *shown)
    console.print(table)
    console.print(LEGEND, highlight=False)


def print_trials(console: Console, problem: Problem, settings: Settings) -> None:
    counts = [runs_by_trial(problem, settings, fraction) for fraction in BUDGETS]
    shown = ", ".join(f"{b:.0%}: {c or f'more than {MOST_RUNS}'}" for b, c in zip(BUDGETS, counts, strict=True))
    console.print(f"runs with a fixed lambda to come within 2 %, {problem.name}: {shown}; here: one", highlight=False)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.controller", description=__doc__)
    parser.add_argument("--tables", default=",".join(PROBLEMS), help=f"of {', '.join(PROBLEMS)}, with commas")
    parser.add_argument(
        "--table",
        type=Path,
        action="append",
        default=[],
        help="a JSON file of rows, or of table, constant and utility; replaces --tables",
    )
    parser.add_argument("--table-seed", type=int, default=0, help="seed of the tables and of the utilities")
    parser.add_argument("--estimators", default="score,st", help="score, st, or both with a comma")
    parser.add_argument("--steps", type=int, default=1500, help="steps of one search on the logits")
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate of the logits")
    parser.add_argument("--seeds", type=int, default=3, help="searches from each start at each budget")
    parser.add_argument("--quick", action="store_true", help="one seed, the score estimator, no fixed lambda")
    parser.add_argument("--json", type=Path, help="also write every outcome to this file")
    return parser.parse_args(arguments)


def problems(asked: argparse.Namespace) -> list[Problem]:
    if asked.table:
        return [read(path, asked.table_seed) for path in asked.table]
    names = asked.tables.split(",")
    if unknown := set(names) - set(PROBLEMS):
        raise CommandError(f"tables must be of {', '.join(PROBLEMS)}, got {', '.join(sorted(unknown))}")
    return [PROBLEMS[name](asked.table_seed) for name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print, and tell what was not reached; exit code 1 then."""
    asked, console, own, others = parse(arguments), Console(width=132), [], []
    torch.set_num_threads(1)
    estimators, seeds = (("score",), 1) if asked.quick else (tuple(asked.estimators.split(",")), asked.seeds)
    for problem in problems(asked):
        for estimator in estimators:
            settings = Settings(asked.steps, asked.lr, estimator=estimator, controller=Damped())
            own.append(run(problem, settings, "damped", seeds))
            others.append(run(problem, published(settings), "paper", seeds))
            print_series(console, [own[-1], others[-1]])
        if not asked.quick:
            print_trials(console, problem, settings)
    checks = [check for series in own for check in series.floors]
    for check in checks:
        console.print(str(check), highlight=False)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(s) for s in (*own, *others)], indent=1) + "\n")
    return 0 if all(check.reached for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
