"""What architectures are worth to a search: a sum over slots, or over slots and pairs of them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from nascc.nas.core.space import Arch
from nascc.nas.search.shares import Numbers


class Preference(ABC):
    """More is better; only differences count."""

    @abstractmethod
    def worth(self, arch: Arch) -> float:
        """What an architecture is worth."""

    @abstractmethod
    def neighbours(self, arch: Arch) -> Numbers:
        """What each architecture one swap away is worth, [S, C]; meaningless beyond a slot's operators."""


@dataclass(frozen=True)
class Additive(Preference):
    """The sum of `rows` [S, C] over the operators chosen, such as log P."""

    rows: Numbers

    def worth(self, arch: Arch) -> float:
        return float(self.rows[np.arange(len(arch)), list(arch)].sum())

    def neighbours(self, arch: Arch) -> Numbers:
        own = self.rows[np.arange(len(arch)), list(arch)]
        found: Numbers = self.worth(arch) + self.rows - own[:, None]
        return found


@dataclass(frozen=True)
class Pairwise(Preference):
    """Own terms `rows` [S, C], and `pairs` [S, C, S, C] for what an operator adds beside another.

    `pairs` is symmetric, every pair stands in it twice with half its worth, and nothing pairs within a slot.
    """

    rows: Numbers
    pairs: Numbers

    def worth(self, arch: Arch) -> float:
        chosen = np.arange(len(arch)), np.array(arch)
        return float((self.rows[chosen] + 0.5 * (self._beside(arch) - self.rows)[chosen]).sum())

    def neighbours(self, arch: Arch) -> Numbers:
        terms = self._beside(arch)
        found: Numbers = self.worth(arch) + terms - terms[np.arange(len(arch)), list(arch)][:, None]
        return found

    def _beside(self, arch: Arch) -> Numbers:
        """Own term of each operator and its pairs with the operators chosen in the other slots, [S, C]."""
        found: Numbers = self.rows + 2 * self.pairs[:, :, np.arange(len(arch)), list(arch)].sum(-1)
        return found
