"""The predictors by name, and what each is worth: errors on networks it was not fitted to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from nascc.nas.core.cost import Cost
from nascc.nas.costs.linear_fits import fit_affine, fit_residual, fit_ridge
from nascc.nas.costs.mlp import fit_mlp
from nascc.nas.costs.networks import FEWEST, Networks, Vector
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.units import written
from nascc.nas.errors import SearchError

Fit = Callable[[Networks, PairwiseCost], Cost]
PREDICTORS: dict[str, Fit] = {
    "residual": fit_residual,
    "affine": fit_affine,
    "ridge": fit_ridge,
    "mlp": fit_mlp,
}
"""`residual` (the default): an analytic or tabled cost, corrected; `affine`: its scale and offset alone; `ridge` and
`mlp` know nothing but the measurements."""
DEFAULT = "residual"
FOLDS = 5


@dataclass(frozen=True)
class Quality:
    """Errors on held-out networks: root mean square in the metric's unit and as a share, and Kendall's tau."""

    predictor: str
    metric: str
    networks: int
    rmse: float
    relative: float
    tau: float

    def __str__(self) -> str:
        return (
            f"{self.predictor} predicts {self.metric} from {self.networks} networks: held-out RMSE "
            f"{written(self.rmse, self.metric)} ({self.relative:.1%}), tau {self.tau:.2f}"
        )


@dataclass(frozen=True, eq=False)
class Predictor:
    """A cost fitted to measured networks, and its quality; None where there were too few to hold any out."""

    cost: Cost
    quality: Quality | None


def fit_predictor(networks: Networks, base: PairwiseCost, name: str = DEFAULT) -> Predictor:
    """Fit one of PREDICTORS; the quality comes from fits that leave a fifth of the networks out each.

    Raises SearchError for an unknown name.
    """
    if name not in PREDICTORS:
        raise SearchError(f"a predictor must be one of {', '.join(PREDICTORS)}, got '{name}'")
    fit = PREDICTORS[name]
    held_out = _held_out(networks, base, fit)
    return Predictor(fit(networks, base), None if held_out is None else quality(name, networks, held_out))


def quality(name: str, networks: Networks, predicted: Vector) -> Quality:
    """Compare predictions with what was measured."""
    errors = predicted - networks.values
    rmse, relative = (float(np.sqrt(np.mean(e**2))) for e in (errors, errors / networks.values))
    tau = float(kendalltau(predicted, networks.values).statistic)
    return Quality(name, networks.metric, len(networks), rmse, relative, tau)


def _held_out(networks: Networks, base: PairwiseCost, fit: Fit) -> Vector | None:
    """What each network is predicted to cost by a fit without it; folds are every fifth network."""
    count = len(networks)
    folds = min(FOLDS, count)
    if count - -(-count // folds) < FEWEST:
        return None
    predicted = np.zeros(count)
    for fold in range(folds):
        out = list(range(fold, count, folds))
        cost = fit(networks.take([i for i in range(count) if i % folds != fold]), base)
        predicted[out] = [cost(networks.archs[i]) for i in out]
    return predicted
