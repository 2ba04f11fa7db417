"""Budgets as they are written: `12ms`, `50%`, `5ms,10ms,20ms`, `600M`, `500mJ`, `4MB`."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.reach import Reach
from nascc.nas.costs.units import EXAMPLES, SCALES, scale_of, written
from nascc.nas.errors import BadBudget, SearchError

_AMOUNT = re.compile(r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>[A-Za-zµ%]*)")


@dataclass(frozen=True)
class Budget:
    """An upper limit: in the unit of the metric's cost, or as a share of the reachable range."""

    metric: str
    value: float
    is_share: bool = False

    def at_most(self, reach: Reach) -> float:
        """The limit in the unit of the metric's cost."""
        return reach.at(self.value) if self.is_share else self.value

    def __str__(self) -> str:
        return f"{self.value * 100:g}%" if self.is_share else written(self.value, self.metric)


def parse_budgets(texts: Mapping[str, str]) -> tuple[tuple[Budget, ...], ...]:
    """`{metric: text}` -> the budgets of each result: one tuple unless one of the metrics has several values.

    Raises BadBudget with all that is wrong.
    """
    problems: list[str] = []
    found: dict[str, tuple[Budget, ...]] = {}
    for metric, text in texts.items():
        try:
            found[metric] = parse_budget(metric, text)
        except BadBudget as error:
            problems.append(str(error))
    if len(several := [metric for metric, budgets in found.items() if len(budgets) > 1]) > 1:
        problems.append(f"one budget may have several values, got several for {' and '.join(several)}")
    if problems:
        raise BadBudget("; ".join(problems))
    results = max((len(budgets) for budgets in found.values()), default=0)
    return tuple(tuple(b[min(k, len(b) - 1)] for b in found.values()) for k in range(results))


def parse_budget(metric: str, text: str) -> tuple[Budget, ...]:
    """The values of one budget, in the order given. Raises BadBudget."""
    if metric not in UNITS:
        near = difflib.get_close_matches(metric, UNITS) or UNITS
        raise BadBudget(f"a budget must be of {', '.join(UNITS)}, got '{metric}': try {', '.join(near)}")
    budgets = tuple(_parse(metric, part.strip()) for part in text.split(","))
    if len(set(budgets)) < len(budgets):
        raise BadBudget(f"the values of --{metric} must differ, got '{text}'")
    return budgets


def parse_ratios(text: str, whole: str) -> tuple[float, ...]:
    """The values of `--ratio`, shares of `whole` above 0 and at most 1, in the order given. Raises BadBudget."""
    ratios = tuple(_ratio(part.strip(), whole) for part in text.split(","))
    if len(set(ratios)) < len(ratios):
        raise BadBudget(f"the values of --ratio must differ, got '{text}'")
    return ratios


def _ratio(text: str, whole: str) -> float:
    try:
        ratio = float(text)
    except ValueError as error:
        raise BadBudget(f"--ratio must be a number such as 0.5, got '{text}'") from error
    if not 0 < ratio <= 1:
        raise BadBudget(f"--ratio must be above 0 and at most 1, {whole}, got {text}")
    return ratio


def _parse(metric: str, text: str) -> Budget:
    example = f"write it like {EXAMPLES[metric]} or 50%"
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise BadBudget(f"--{metric} must be a number with a unit, got '{text}'; {example}")
    value, unit = float(match["number"]), match["unit"]
    if not (math.isfinite(value) and value > 0):
        raise BadBudget(f"--{metric} must be above 0, got '{text}'; {example}")
    if unit == "%":
        if value > 100:
            raise BadBudget(f"--{metric} must be at most 100%, the whole reachable range, got '{text}'; {example}")
        return Budget(metric, value / 100, is_share=True)
    try:
        return Budget(metric, value * scale_of(metric, unit))
    except SearchError as error:
        near = [u for u in SCALES[metric] if u.lower() == unit.lower()]
        hint = f"did you mean {match['number']}{near[0]}?" if near and unit else example
        raise BadBudget(f"--{metric} '{text}': {error}; {hint}") from error
