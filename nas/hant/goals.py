"""The results a run is asked for: budgets of the compiled network, in the units of their metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

from nascc.nas.costs import parse_budget, parse_ratios
from nascc.nas.costs.units import written, written_up
from nascc.nas.errors import BadBudget, BudgetInfeasible
from nascc.nas.hant.config import HantConfig

LATENCY = "latency"
SLACK = 1e-9
WHOLE = "the whole latency of the teacher"


@dataclass(frozen=True)
class Range:
    """What students cost: `least` the cheapest there is, `teacher` the whole teacher, compiled."""

    least: float
    teacher: float


@dataclass(frozen=True)
class Goal:
    """One result. `name` is empty where there is one only; `limits` by metric."""

    name: str
    limits: Mapping[str, float]

    def phase(self, kind: str) -> str:
        """The name of a phase or folder of this goal: 'search', or 'search-0.5'."""
        return f"{kind}-{self.name}" if self.name else kind


def metrics_of(config: HantConfig) -> tuple[str, ...]:
    """The metrics that budgets refer to."""
    ratio = () if config.ratio is None else (LATENCY,)
    return tuple(dict.fromkeys((*ratio, *config.budgets)))


def names_of(config: HantConfig) -> tuple[str, ...]:
    """The names of the results, before anything is known of costs. Raises BadBudget for a text that is no budget."""
    for metric, text in _texts(config).items():
        if _is_ratio(metric, config):
            parse_ratios(text, WHOLE)
        else:
            parse_budget(metric, text)
    several = _several(config)
    texts = [t.strip().replace(" ", "") for t in _texts(config)[several].split(",")] if several else []
    return tuple(texts) if texts else ("",)


def goals_of(config: HantConfig, ranges: Mapping[str, Range]) -> tuple[Goal, ...]:
    """The results with their limits; a share such as 50% is of the range from the cheapest student to the teacher.

    Raises BudgetInfeasible, with what can be reached, BadBudget.
    """
    values = {metric: _values(metric, text, config, ranges[metric]) for metric, text in _texts(config).items()}
    names = names_of(config)
    goals = []
    for k, name in enumerate(names):
        goals.append(Goal(name, {metric: found[min(k, len(found) - 1)] for metric, found in values.items()}))
    return tuple(goals)


def _texts(config: HantConfig) -> dict[str, str]:
    ratio = {} if config.ratio is None else {LATENCY: config.ratio}
    return ratio | dict(config.budgets)


def _several(config: HantConfig) -> str | None:
    found = [metric for metric, text in _texts(config).items() if "," in text]
    if len(found) > 1:
        raise BadBudget(f"one budget may have several values, got several for {' and '.join(found)}")
    return found[0] if found else None


def _is_ratio(metric: str, config: HantConfig) -> bool:
    return metric == LATENCY and config.ratio is not None


def _values(metric: str, text: str, config: HantConfig, known: Range) -> list[float]:
    if _is_ratio(metric, config):
        return [
            _feasible(LATENCY, f"ratio {ratio:g}", ratio * known.teacher, known) for ratio in parse_ratios(text, WHOLE)
        ]
    found = []
    for budget in parse_budget(metric, text):
        share = known.least + budget.value * (known.teacher - known.least)
        found.append(_feasible(metric, str(budget), share if budget.is_share else budget.value, known))
    return found


def _feasible(metric: str, asked: str, value: float, known: Range) -> float:
    if value >= known.least * (1 - SLACK):
        return max(value, known.least)
    share = known.least / known.teacher if known.teacher else 1.0
    raise BudgetInfeasible(
        f"a budget of {asked} must be within what students of this network can reach, "
        f"{written(known.least, metric)} to {written(known.teacher, metric)} of {metric} (ratio {share:.3g} to 1); "
        f"ask for at least {written_up(known.least, metric)}, or replace more of it with --blocks and --operators"
    )
