"""Regularised least squares whose hyper-parameters left-out rows choose."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nascc.nas.costs.networks import Vector
from nascc.nas.costs.pairwise import Matrix


@dataclass(frozen=True, eq=False)
class Ridge:
    """Coefficients, and minus the mean log density of each row when it is left out."""

    coefficients: Vector
    surprise: float


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows of a design, and what they should give; `gram` is shared by all ways to scale the columns."""

    design: Matrix
    target: Vector
    gram: Matrix
    moment: Vector

    @classmethod
    def of(cls, design: Matrix, target: Vector) -> "Problem":
        """A design [n, p] and its target [n]."""
        return cls(design, target, design.T @ design, design.T @ target)

    def solve(self, scale: Vector, noise: float) -> Ridge:
        """The posterior mean where coefficients deviate from 0 by `scale` [p] and rows by `noise`.

        What a row is without itself follows from the diagonal of the hat matrix: error e / (1 - h), variance
        noise^2 / (1 - h).
        """
        system = self.gram * np.outer(scale, scale)
        system[np.diag_indices_from(system)] += noise**2
        inverse = np.linalg.inv(system) * np.outer(scale, scale)
        coefficients = inverse @ self.moment
        hat = np.einsum("np,np->n", self.design @ inverse, self.design)
        free = np.maximum(1 - hat, 1e-9)
        errors = self.target - self.design @ coefficients
        surprise = np.log(noise**2 / free) + errors**2 / (free * noise**2)
        return Ridge(coefficients, float(np.mean(surprise)) / 2)

    def best(self, ways: Iterable[tuple[Vector, float]]) -> Ridge:
        """The solution over (scale, noise) that left-out rows surprise least; the first of equals."""
        return min((self.solve(scale, noise) for scale, noise in ways), key=lambda found: found.surprise)
