"""Which paths of the supernet a step on the weights trains, once logits say what is likely."""

from collections.abc import Callable, Sequence

import torch

from nascc.nas.core import Sel
from nascc.nas.search import Learner
from nascc.nas.search.sampling import ranking, sandwich

Paths = Callable[[Learner, torch.Generator], Sequence[Sel]]
"""Selections of one step, each with a forward and backward pass of its own, from the state of the logits."""


def single_path(learner: Learner, generator: torch.Generator) -> Sequence[Sel]:
    """One architecture, drawn as the logits say (LightNAS, Eqs. 7 to 9)."""
    return [learner.sample(generator).arch]


def sandwich_paths(learner: Learner, generator: torch.Generator) -> Sequence[Sel]:
    """The most, a random and the least critical path of one ranking (DW-NAS, Eq. 8): no operator is starved."""
    return sandwich(learner.alpha.detach(), learner.legal, generator, learner.settings.noise_on)


def every_path(learner: Learner, generator: torch.Generator) -> Sequence[Sel]:
    """Every operator of a slot, a path each, in the order of one ranking (strict top-k); smaller slots begin again."""
    order = ranking(learner.alpha.detach(), learner.legal, generator, learner.settings.noise_on).tolist()
    count = max(learner.choices)
    return [tuple(row[k % n] for row, n in zip(order, learner.choices, strict=True)) for k in range(count)]


def mixed_path(learner: Learner, generator: torch.Generator) -> Sequence[Sel]:
    """All operators at once, summed by their probabilities (DARTS): the memory of all of them."""
    return [learner.probabilities().to(torch.float32)]


PATHS: dict[str, Paths] = {
    "single": single_path,
    "sandwich": sandwich_paths,
    "every": every_path,
    "mixed": mixed_path,
}
"""By name; `sandwich` is DW-NAS, the others are what it is compared with."""
