"""Which paths of the supernet a step on the weights trains, once logits say what is likely."""

from collections.abc import Callable, Sequence

import torch

from nascc.nas.core import Sel
from nascc.nas.search import Learner

Paths = Callable[[Learner, torch.Generator], Sequence[Sel]]
"""Selections of one step, each with a forward and backward pass of its own, from the state of the logits."""


def single_path(learner: Learner, generator: torch.Generator) -> Sequence[Sel]:
    """One architecture, drawn as the logits say (LightNAS, Eqs. 7 to 9)."""
    return [learner.sample(generator).arch]
