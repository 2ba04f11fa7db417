"""One search on an oracle, and what it reached beside the exact optimum."""

from dataclasses import dataclass
from typing import Literal

import torch

from nascc.nas.core.cost import Limit
from nascc.nas.core.randomness import generator
from nascc.nas.core.space import Arch
from nascc.nas.search import Learner, Settings, optimum
from nascc.tools.bench.controller_tables import Problem

Start = Literal["fastest", "slowest"]
STARTS: tuple[Start, ...] = ("fastest", "slowest")
BIAS = 3.0
"""What is added to the logits of the start: it is drawn in three of four cases out of seven operators."""


@dataclass(frozen=True)
class Outcome:
    """Costs as shares of the limit; utilities as shares of the optimum's, `reranked` that of the best candidate.

    `share` counts the utility from the least of the space instead of from zero.
    """

    likely: float
    before: float
    after: float
    swaps: int
    utility: float
    share: float
    reranked: float

    @property
    def kept(self) -> bool:
        return self.after <= 1


def limit_at(problem: Problem, fraction: float) -> Limit:
    """The limit at a fraction of the reachable range."""
    least, most = problem.cost.reach
    return Limit(problem.cost, least + fraction * (most - least))


def searched(problem: Problem, limit: Limit, start: Start, settings: Settings, seed: int) -> Learner:
    """Run one search from a biased start."""
    learner = Learner(problem.oracle.choices, [limit], settings, generator(seed, "alpha"))
    extreme = min if start == "fastest" else max
    learner.bias(tuple(row.index(extreme(row)) for row in problem.cost.table()), BIAS)
    random = generator(seed, "draws", start)
    for _ in range(settings.steps):
        draw = learner.sample(random)
        if settings.estimator == "score":
            learner.update(draw, -problem.oracle(draw.arch))
        else:
            coefficients = draw.coefficients.detach().requires_grad_()
            loss = problem.oracle.loss(coefficients)
            learner.update(draw, loss.item(), *torch.autograd.grad(loss, coefficients))
    return learner


def outcome(problem: Problem, limit: Limit, best: Arch, learner: Learner) -> Outcome:
    """Compare what a search found with the exact optimum under the limit."""
    candidates = learner.candidates()
    found = candidates[0]
    utility, most, least = problem.oracle(found.arch), problem.oracle(best), problem.least_utility
    return Outcome(
        likely=limit.used(learner.argmax()),
        before=limit.used(found.before),
        after=limit.used(found.arch),
        swaps=found.swaps,
        utility=utility / most,
        share=(utility - least) / (most - least),
        reranked=max(problem.oracle(c.arch) for c in candidates if c.within == found.within) / most,
    )


def best_of(problem: Problem, limit: Limit) -> Arch:
    """The exact optimum."""
    return optimum(problem.oracle, [limit])
