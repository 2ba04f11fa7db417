"""Three ways to fit a cost to measured networks: affine, ridge on operators, and analytic with a residual."""

from itertools import product

import numpy as np

from nascc.nas.costs.features import as_rows, by_name, one_hot_rows
from nascc.nas.costs.networks import Networks, Vector
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.predicted import PredictedCost
from nascc.nas.costs.regression import Problem

NOISES = (0.001, 0.003, 0.006, 0.012, 0.025, 0.05)
"""Relative deviations of a measurement that a fit may assume."""
DEVIATIONS = (0.01, 0.03, 0.06, 0.1, 0.2, 0.4)
"""Relative deviations of an operator's true cost from the analytic one."""
SHARED = (0.0, 1.0)
"""How much of these is common to all operators of one name, against what each has for itself."""
SHARES = tuple(np.geomspace(0.003, 1.0, 10))
"""Deviations between operators of a slot, as shares of a network's cost, that ridge may assume."""
RIDGE_NOISES = tuple(np.geomspace(0.001, 0.3, 10))
"""Relative deviations of a measurement that ridge may assume."""
LEVEL = 0.5
"""Relative deviation of the common factor and of the offset."""
FLOOR = 0.02
"""Deviation of operators that cost next to nothing, as a share of what an operator deviates on average."""


def fit_affine(networks: Networks, base: PairwiseCost) -> PredictedCost:
    """factor * base + offset, errors weighed as shares of the cost."""
    analytic = _analytic(networks, base)
    factor, offset = _affine(analytic, networks.values)
    rows = [[0.0] * n for n in networks.space.choices]
    return PredictedCost(networks.metric, rows, offset, base, factor)


def fit_ridge(networks: Networks, base: PairwiseCost | None = None) -> PredictedCost:
    """A number an operator of a slot, and an offset; nothing is known beforehand, so `base` is left aside."""
    choices = networks.space.choices
    mean = float(networks.values.mean())
    weights = mean / networks.values
    design = np.column_stack([np.ones(len(networks)), one_hot_rows(networks.archs, choices)])
    problem = Problem.of(design * weights[:, None], (networks.values - mean) / mean * weights)
    found = problem.best(
        (np.r_[1.0, np.full(sum(choices), own)], float(noise)) for own, noise in product(SHARES, RIDGE_NOISES)
    )
    intercept, *own = found.coefficients * mean
    return PredictedCost(networks.metric, as_rows(np.array(own), choices), mean + float(intercept))


def fit_residual(networks: Networks, base: PairwiseCost) -> PredictedCost:
    """factor * base + offset + a number an operator, which is near zero before anything is measured.

    The prior: an operator of a slot deviates from its analytic cost by a relative amount of its own and by one that
    all operators of its name share. Which deviations, and which noise, left-out networks decide.
    """
    choices, values = networks.space.choices, networks.values
    analytic = _analytic(networks, base)
    ratio = float(np.mean(values) / np.mean(analytic))
    factor, offset = _affine(analytic, values)
    weights = 1 / np.maximum(factor * analytic + offset, values / 2)
    expected = ratio * np.array([value for row in base.form.table() for value in row])
    operators = np.hypot(expected, FLOOR * np.abs(expected).mean())[None] * one_hot_rows(networks.archs, choices)
    shared = operators @ by_name(networks.space)
    level = np.column_stack([ratio * analytic, np.full(len(networks), values.mean())])
    design = np.column_stack([level, operators, shared]) * weights[:, None]
    problem = Problem.of(design, (values - ratio * analytic) * weights)
    found = problem.best(
        (np.r_[LEVEL, LEVEL, np.full(len(expected), own), np.full(shared.shape[1], part * own)], noise)
        for noise, own, part in product(NOISES, DEVIATIONS, SHARED)
    )
    slope, shift = found.coefficients[:2]
    own, common = np.split(found.coefficients[2:], [len(expected)])
    scale = np.hypot(expected, FLOOR * np.abs(expected).mean())
    rows = as_rows(scale * (own + by_name(networks.space) @ common), choices)
    return PredictedCost(networks.metric, rows, float(shift * values.mean()), base, ratio * float(1 + slope))


def _analytic(networks: Networks, base: PairwiseCost) -> Vector:
    return np.array([base(arch) for arch in networks.archs])


def _affine(analytic: Vector, values: Vector) -> tuple[float, float]:
    """Factor and offset by least squares of relative errors; a factor below 0 means nothing in common."""
    design = np.column_stack([analytic, np.ones(len(values))]) / values[:, None]
    factor, offset = np.linalg.lstsq(design, np.ones(len(values)), rcond=None)[0]
    if factor <= 0:
        return float(np.mean(values) / np.mean(analytic)), 0.0
    return float(factor), float(offset)
