"""Synthetic programs as large as the paper's, to time solvers on."""

import numpy as np

from nascc.nas.program.instance import Budgeted, Program

LAYERS, OPERATORS = 46, 197
MOST_DROP = 0.05


def generate(
    seed: int, layers: int = LAYERS, operators: int = OPERATORS, ratio: float = 0.45, prefiltered: bool = True
) -> Program:
    """A program whose scores fall as costs rise: the first operator of a layer is the teacher, of score 0.

    Costs are in teacher layers (dearer towards the end of the network), scores are drops of accuracy. `prefiltered`
    leaves out operators that are slower than the teacher or lose more than 5 points, as a search does (hant.md, 2).
    """
    random = np.random.default_rng(seed)
    scores, costs = [], []
    for layer in range(layers):
        teacher = 0.5 + random.random() + layer / layers
        own_costs = teacher * random.lognormal(-0.35, 0.8, operators - 1)
        quality = random.lognormal(-3.6, 0.7, operators - 1)
        own_scores = quality * (1.0 + teacher / np.maximum(own_costs, 0.05)) * random.uniform(0.4, 1.6, operators - 1)
        keep = (own_costs <= teacher) & (own_scores <= MOST_DROP) if prefiltered else np.ones(operators - 1, dtype=bool)
        scores.append((0.0, *map(float, own_scores[keep])))
        costs.append((float(teacher), *map(float, own_costs[keep])))
    total = sum(row[0] for row in costs)
    return Program(tuple(scores), (Budgeted("latency", tuple(costs), ratio * total),))
