"""Searching by gradients of logits: sampling, estimators, controllers, repair, and an oracle to judge them on."""

from nascc.nas.search.controllers import Controller, Damped, Fixed, Gains, Published
from nascc.nas.search.effects import Effects
from nascc.nas.search.estimators import Estimator, Moments, score, score_with_effects, straight_through
from nascc.nas.search.exact import best_sum, optimum
from nascc.nas.search.learner import Learner
from nascc.nas.search.oracle import Oracle, SyntheticCost
from nascc.nas.search.sampling import Draw, NoiseOn, ranking, sample, sandwich
from nascc.nas.search.settings import Settings
from nascc.nas.search.shares import Shares
from nascc.nas.search.swaps import Repaired, repair, repairs
from nascc.nas.search.temperature import Temperature

__all__ = [
    "Controller",
    "Damped",
    "Draw",
    "Effects",
    "Estimator",
    "Fixed",
    "Gains",
    "Learner",
    "Moments",
    "NoiseOn",
    "Oracle",
    "Published",
    "Repaired",
    "Settings",
    "Shares",
    "SyntheticCost",
    "Temperature",
    "best_sum",
    "optimum",
    "ranking",
    "repair",
    "repairs",
    "sample",
    "sandwich",
    "score",
    "score_with_effects",
    "straight_through",
]
