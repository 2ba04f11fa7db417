"""What architectures cost at deployment: described, tabled or predicted; their ranges, budgets and limits."""

from nascc.nas.costs.budgets import Budget, parse_budget, parse_budgets, parse_ratios
from nascc.nas.costs.deployment import Deployment, compiled_graph, note_architecture, noted_architecture
from nascc.nas.costs.describe import describe
from nascc.nas.costs.described import DescribedCost, DescribedSpace
from nascc.nas.costs.describer import Describer
from nascc.nas.costs.limits import Resolved, resolve
from nascc.nas.costs.networks import Networks, read_networks
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.predictors import PREDICTORS, Predictor, Quality, fit_predictor
from nascc.nas.costs.reach import Reach, reach_of
from nascc.nas.costs.sources import cost_from
from nascc.nas.costs.tables import TableCost, read_table
from nascc.nas.costs.wider import wider_shape

__all__ = [
    "PREDICTORS",
    "Budget",
    "Deployment",
    "DescribedCost",
    "DescribedSpace",
    "Describer",
    "Networks",
    "PairwiseCost",
    "Predictor",
    "Quality",
    "Reach",
    "Resolved",
    "TableCost",
    "compiled_graph",
    "cost_from",
    "describe",
    "fit_predictor",
    "note_architecture",
    "noted_architecture",
    "parse_budget",
    "parse_budgets",
    "parse_ratios",
    "reach_of",
    "read_networks",
    "read_table",
    "resolve",
    "wider_shape",
]
