"""How the steps of a bilevel search are divided between weights and logits."""

from typing import Annotated

from pydantic import Field

from nascc.nas.phases.config import Count, Data

NotNegative = Annotated[int, Field(ge=0)]


class Schedule(Data):
    """`warmup_steps` on weights alone, then `cycles` of `weights_block` steps on weights and `alpha_block` on logits.

    With `accumulate` a warm-up step trains all operators of every slot at once.
    """

    warmup_steps: NotNegative
    cycles: Count
    weights_block: Count = 1
    alpha_block: Count = 1
    accumulate: bool = False

    @property
    def weight_steps(self) -> int:
        """Optimiser steps on the weights, warm-up included."""
        return self.warmup_steps + self.cycles * self.weights_block

    @property
    def alpha_steps(self) -> int:
        """Updates of the logits."""
        return self.cycles * self.alpha_block

    @property
    def search_steps(self) -> int:
        """Steps after the warm-up, of both kinds."""
        return self.cycles * (self.weights_block + self.alpha_block)

    def turn(self, step: int) -> tuple[bool, int]:
        """Whether `step` after the warm-up trains the weights, and how many of its kind came before."""
        cycle, position = divmod(step, self.weights_block + self.alpha_block)
        if position < self.weights_block:
            return True, cycle * self.weights_block + position
        return False, cycle * self.alpha_block + position - self.weights_block


class Epochs(Data):
    """The same in epochs of the data: weights learn for an epoch of theirs, then logits for one of theirs."""

    warmup: NotNegative
    epochs: Count
    accumulate: bool = False

    def schedule(self, weights_per_epoch: int, alpha_per_epoch: int) -> Schedule:
        """In steps, of which an epoch has so many."""
        return Schedule(
            warmup_steps=self.warmup * weights_per_epoch,
            cycles=self.epochs,
            weights_block=weights_per_epoch,
            alpha_block=alpha_per_epoch,
            accumulate=self.accumulate,
        )
