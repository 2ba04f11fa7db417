"""The results a run is asked for: limits of one cost, of which one descent answers for several."""

from collections.abc import Iterator
from dataclasses import dataclass

from nascc.nas.costs import parse_budget, parse_ratios
from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.units import written, written_up
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.netadapt.config import NetAdaptConfig

SLACK = 1e-9
WHOLE = "the whole of the initial network"


@dataclass(frozen=True)
class Range:
    """What the networks of a space cost: the smallest, and the initial one."""

    least: float
    most: float


@dataclass(frozen=True)
class Goal:
    """One result; `name` is empty where there is one only."""

    name: str
    at_most: float

    def phase(self, kind: str) -> str:
        """The name of a folder or network of this goal: 'deploy', or 'deploy-5ms'."""
        return f"{kind}-{self.name}" if self.name else kind


def text_of(config: NetAdaptConfig) -> str:
    """The budget as it was asked for."""
    return config.ratio if config.ratio is not None else next(iter(config.budgets.values()))


def names_of(config: NetAdaptConfig) -> tuple[str, ...]:
    """The names of the results, before anything is known of costs. Raises BadBudget for a text that is no budget."""
    words = [word.strip().replace(" ", "") for word in text_of(config).split(",")]
    if config.ratio is None:
        parse_budget(config.resource, text_of(config))
    else:
        parse_ratios(config.ratio, WHOLE)
    return tuple(words) if len(words) > 1 else ("",)


def goals_of(config: NetAdaptConfig, known: Range) -> tuple[Goal, ...]:
    """The results with their limits. Raises BudgetInfeasible with the reachable range, BadBudget."""
    amounts = list(_amounts(config, known))
    return tuple(Goal(name, amount) for name, amount in zip(names_of(config), amounts, strict=True))


def told(value: float, metric: str) -> str:
    """A cost as a person reads it."""
    return written(value, metric) if metric in UNITS else f"{value:.6g}"


def _amounts(config: NetAdaptConfig, known: Range) -> Iterator[float]:
    metric = config.resource
    if config.ratio is not None:
        for ratio in parse_ratios(config.ratio, WHOLE):
            yield _feasible(metric, f"ratio {ratio:g}", ratio * known.most, known)
        return
    for budget in parse_budget(metric, config.budgets[metric]):
        share = known.least + budget.value * (known.most - known.least)
        yield _feasible(metric, str(budget), share if budget.is_share else budget.value, known)


def _feasible(metric: str, asked: str, value: float, known: Range) -> float:
    if value >= known.least * (1 - SLACK):
        return value
    least = written_up(known.least, metric) if metric in UNITS else f"{known.least:.6g}"
    share = known.least / known.most if known.most else 1.0
    raise BudgetInfeasible(
        f"a budget of {asked} must be within what this network can be shrunk to, {told(known.least, metric)} to "
        f"{told(known.most, metric)} of {metric} (ratio {share:.3g} to 1); ask for at least {least}"
    )
