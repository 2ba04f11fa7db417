"""Learning rates as functions of the step alone."""

import math

from nascc.nas.train.recipe import Recipe

RISE, LOWEST = 0.3, 25.0
"""One cycle: the share of steps in which the learning rate rises, and what it is divided by at first."""


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of `step`, counted from 0 to epochs * steps_per_epoch - 1."""
    total = recipe.epochs * steps_per_epoch
    if recipe.schedule == "one_cycle":
        return recipe.lr * one_cycle(step / total)
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.warmup_lr + (recipe.lr - recipe.warmup_lr) * step / warmup
    if recipe.schedule == "exponential":
        return recipe.lr * recipe.decay ** ((step - warmup) // max(1, round(recipe.decay_epochs * steps_per_epoch)))
    return recipe.lr * cosine((step - warmup) / (total - warmup))


def cosine(share: float) -> float:
    """Half a cosine from 1 at 0 to 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, share))))


def one_cycle(share: float) -> float:
    """From 1 / LOWEST at 0 to 1 at RISE to 0 at 1."""
    if share < RISE:
        return 1 / LOWEST + (1 - 1 / LOWEST) * cosine(1 - share / RISE)
    return cosine((share - RISE) / (1 - RISE))
