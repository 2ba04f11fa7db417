"""Training: recipes as data, and the pieces of a loop that can be killed and gone on with."""

from nascc.nas.train.batches import Batches, ReadAhead, epoch_order
from nascc.nas.train.depth import depth_distillation, depth_loss
from nascc.nas.train.ema import build_ema, copy_averages
from nascc.nas.train.evaluation import DepthEvaluation, Evaluation, Judgement, Network, device_of, evaluate, judge
from nascc.nas.train.loop import TrainingResult, train
from nascc.nas.train.losses import distillation_loss, training_loss
from nascc.nas.train.meter import Meter
from nascc.nas.train.objective import OBJECTIVES, Objective, objective_of
from nascc.nas.train.optimiser import build_optimiser, descend
from nascc.nas.train.recipe import Distillation, Recipe, load_recipe, recipe_names
from nascc.nas.train.schedule import learning_rate
from nascc.nas.train.training import Training

__all__ = [
    "OBJECTIVES",
    "Batches",
    "DepthEvaluation",
    "Distillation",
    "Evaluation",
    "Judgement",
    "Meter",
    "Network",
    "Objective",
    "ReadAhead",
    "Recipe",
    "Training",
    "TrainingResult",
    "build_ema",
    "build_optimiser",
    "copy_averages",
    "depth_distillation",
    "depth_loss",
    "descend",
    "device_of",
    "distillation_loss",
    "epoch_order",
    "evaluate",
    "judge",
    "learning_rate",
    "load_recipe",
    "objective_of",
    "recipe_names",
    "train",
    "training_loss",
]
