"""The optimiser of a recipe, and one step of it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer, RMSprop

from nascc.nas.train.recipe import Recipe


def build_optimiser(parameters: nn.Module | Iterable[nn.Parameter], recipe: Recipe) -> Optimizer:
    """SGD, or RMSProp, over those parameters that want a gradient, in a fixed order.

    Vectors (batch norms, biases) are in a group of their own, without weight decay unless the recipe decays norms.
    A parameter without a gradient is left alone by a step, momentum included.
    """
    given = parameters.parameters() if isinstance(parameters, nn.Module) else parameters
    wanted = [parameter for parameter in given if parameter.requires_grad]
    groups = [
        {"params": [p for p in wanted if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {
            "params": [p for p in wanted if p.ndim <= 1],
            "weight_decay": recipe.weight_decay if recipe.decay_norms else 0.0,
        },
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "rmsprop":
        return RMSprop(groups, lr=recipe.lr, alpha=0.9, eps=1e-3, momentum=recipe.momentum)
    return SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


def descend(optimiser: Optimizer, lr: float, clip: float | None = None) -> Tensor | None:
    """Clip the gradients to the norm `clip`, take a step with `lr`, and drop the gradients.

    Returns the norm before clipping, a scalar; None without clipping.
    """
    for group in optimiser.param_groups:
        group["lr"] = lr
    norm = None
    if clip is not None:
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return norm
