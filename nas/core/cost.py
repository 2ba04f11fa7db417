"""What an architecture costs, and the limits it must keep."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, fx

from nascc.nas.core.space import Arch
from nascc.nas.errors import NotAdditive, NotDifferentiable

LEAST_SHARE = 0.97
"""A budget is an upper limit, and at least this share of it is used unless the whole space is below."""


class Cost(ABC):
    """A metric of architectures in one unit: `latency` in ms, `macs`, `params`, `bytes`, `energy` in mJ."""

    metric: str
    unit: str

    @abstractmethod
    def __call__(self, arch: Arch) -> float:
        """The cost of an architecture at the deployment shape, in `unit`."""

    @abstractmethod
    def of_graph(self, graph: fx.GraphModule) -> float:
        """The cost of a compiled graph, in `unit`: authoritative for the network that is emitted."""

    def soft(self, coefficients: Tensor) -> Tensor:
        """A differentiable form: coefficients [S, C] -> scalar. Raises NotDifferentiable."""
        raise NotDifferentiable(f"{self.metric} as {type(self).__name__} must be differentiable here, and is not")

    def table(self) -> list[list[float]]:
        """Cost of each operator of each slot; with `constant` they add up to a network. Raises NotAdditive."""
        raise NotAdditive(f"{self.metric} as {type(self).__name__} must be a sum over slots here, and is not")

    @property
    def constant(self) -> float:
        """What a network costs besides its slots; 0 where costs do not add up."""
        return 0.0


@dataclass(frozen=True)
class Limit:
    """An upper limit on one cost, in its unit."""

    cost: Cost
    at_most: float

    def holds(self, arch: Arch) -> bool:
        return self.cost(arch) <= self.at_most

    def used(self, arch: Arch) -> float:
        """Cost as a share of the limit; 1 is exactly at it."""
        return self.cost(arch) / self.at_most
