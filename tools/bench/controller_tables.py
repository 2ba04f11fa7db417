"""Latency tables to search on, and a made-up accuracy for each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from nascc.nas.search import Oracle, SyntheticCost
from nascc.tools.errors import CommandError

Row = list[float]
MBCONV = (0.45, 0.75, 0.5, 0.9, 0.6, 1.1, 0.02)
"""About what k3e3, k3e6, k5e3, k5e6, k7e3, k7e6 and skip cost beside each other."""


@dataclass(frozen=True)
class Problem:
    """A cost and a utility over the same slots."""

    name: str
    cost: SyntheticCost
    oracle: Oracle

    @property
    def least_utility(self) -> float:
        """A lower bound on the utility of any architecture; exact without pairs."""
        own = sum(map(min, self.oracle.rows))
        return own + sum(float(matrix.min()) for matrix in self.oracle.pairs.values())


def utility_of(rows: Sequence[Sequence[float]], seed: int, noise: float = 0.15) -> list[Row]:
    """Concave in an operator's relative cost, with a weight for each slot and deviations; the least of a slot is 0."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for row in map(np.asarray, rows):
        relative = (row - row.min()) / (np.ptp(row) or 1.0)
        worth = np.exp(rng.normal(0, 0.5)) * np.clip(np.sqrt(relative) + rng.normal(0, noise, len(row)), 0, None)
        found.append((worth - worth.min()).tolist())
    return found


def problem(name: str, rows: list[Row], constant: float, seed: int, unit: str = "ms", pairs: float = 0.0) -> Problem:
    """A table with a utility; `pairs` is the deviation of terms between neighbouring slots."""
    rng = np.random.default_rng([seed, 2])
    numbers = {(s, s + 1): (len(a), len(b)) for s, (a, b) in enumerate(pairwise(rows))} if pairs else {}
    terms = {slots: (pairs * rng.normal(size=shape)).tolist() for slots, shape in numbers.items()}
    return Problem(name, SyntheticCost(rows, constant, unit=unit), Oracle(utility_of(rows, seed), terms))


def lightnas(seed: int) -> Problem:
    """21 slots of 7 operators, a skip that is almost free."""
    rng = np.random.default_rng([seed, 3])
    rows = [
        (size * np.array(MBCONV) * np.exp(rng.normal(0, 0.1, 7))).tolist() for size in np.exp(rng.normal(0, 0.5, 21))
    ]
    return problem("lightnas", rows, 4.0, seed)


def heavy(seed: int) -> Problem:
    """21 slots of 7 operators with lognormal costs: a few dominate."""
    rng = np.random.default_rng([seed, 4])
    return problem("heavy", np.exp(rng.normal(0, 1.2, (21, 7))).tolist(), 2.0, seed)


def ragged(seed: int) -> Problem:
    """15 slots of 1 to 12 operators, in multiplications."""
    rng = np.random.default_rng([seed, 5])
    rows = [(3e6 * np.exp(rng.normal(0, 0.8, rng.integers(1, 13)))).tolist() for _ in range(15)]
    return problem("ragged", rows, 5e6, seed, unit="MACs")


def twelve(seed: int) -> Problem:
    """21 slots of 12 operators, and most of the cost in what is not searched."""
    rng = np.random.default_rng([seed, 6])
    rows = (np.exp(rng.normal(0, 0.6, (21, 1))) * rng.uniform(0.2, 1.5, (21, 12))).tolist()
    return problem("twelve", rows, 12.0, seed)


def six(seed: int) -> Problem:
    """Six slots of 7 operators whose utilities depend on their neighbours; the optimum is by enumeration."""
    rng = np.random.default_rng([seed, 7])
    return problem("six, pairs", np.exp(rng.normal(0, 0.7, (6, 7))).tolist(), 1.0, seed, pairs=0.1)


PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "lightnas": lightnas, "heavy": heavy, "ragged": ragged, "twelve": twelve, "six": six,
}  # fmt: skip


def read(path: Path, seed: int) -> Problem:
    """A table from JSON: a list of rows, or {"table": rows, "constant": x, "utility": rows}, the last two optional.

    Raises CommandError when it is none.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        content = content if isinstance(content, dict) else {"table": content}
        rows = [[float(x) for x in row] for row in content["table"]]
        made = problem(path.stem, rows, float(content.get("constant", 0.0)), seed)
        utility = content.get("utility")
        return made if utility is None else Problem(made.name, made.cost, Oracle(utility))
    except OSError as error:
        raise CommandError(f"a table must be a readable file: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f'{path} must hold a list of rows of numbers, or {{"table": rows}}: {error}') from error
