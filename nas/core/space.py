"""Search spaces: an ordered list of slots, and how an architecture becomes a network."""

import difflib
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import nn

from nascc.nas.core.slot import Slot
from nascc.nas.errors import IllegalArchitecture, SearchError

Arch = tuple[int, ...]
"""The index of the chosen operator, per slot."""
Form = Literal["train", "deploy"]
ATTEMPTS = 10_000


class Space(ABC):
    """What a search chooses from.

    Subclasses whose slots restrict each other override `legal` and `size`; the count must stay exact.
    """

    slots: tuple[Slot, ...]
    input_shape: tuple[int, int, int]
    """(C, H, W) of one input image at deployment."""

    @property
    def choices(self) -> tuple[int, ...]:
        """The number of operators of each slot."""
        return tuple(len(slot.ops) for slot in self.slots)

    def size(self) -> int:
        """The exact number of legal architectures."""
        return math.prod(self.choices)

    def legal(self, arch: Arch) -> bool:
        """Whether `arch` has one valid index per slot."""
        return len(arch) == len(self.slots) and all(0 <= i < n for i, n in zip(arch, self.choices, strict=True))

    def check(self, arch: Sequence[int]) -> Arch:
        """`arch` as a tuple. Raises IllegalArchitecture."""
        found = tuple(int(index) for index in arch)
        if not self.legal(found):
            raise IllegalArchitecture(
                f"an architecture must have one index per slot, below {list(self.choices)}, got {list(found)}"
            )
        return found

    def random(self, rng: random.Random) -> Arch:
        """A legal architecture, every one equally likely."""
        for _ in range(ATTEMPTS):
            if self.legal(arch := tuple(rng.randrange(n) for n in self.choices)):
                return arch
        raise SearchError(f"a random architecture must be legal, but none of {ATTEMPTS} was; override Space.random")

    def shrink(self, arch: Arch, slot: int) -> Arch | None:
        """`arch` one level down in an ordered slot; None at the bottom, in other slots, and where that is illegal."""
        if not self.slots[slot].ordered:
            return None
        smaller = (*arch[:slot], arch[slot] + 1, *arch[slot + 1 :])
        return smaller if self.legal(smaller) else None

    @abstractmethod
    def build(self, arch: Arch, form: Form = "train") -> nn.Module:
        """The network of `arch` with fresh weights: blocks as searched, or as the compiler leaves them."""

    def name_of(self, arch: Arch) -> str:
        """Operator names with spaces between them: 'k3e6 skip k5e3'."""
        return " ".join(slot.names[index] for slot, index in zip(self.slots, self.check(arch), strict=True))

    def parse(self, text: str) -> Arch:
        """The architecture that `name_of` writes as `text`. Raises IllegalArchitecture."""
        names = text.split()
        if len(names) != len(self.slots):
            raise IllegalArchitecture(f"an architecture must name {len(self.slots)} operators, got {len(names)}")
        return self.check([_index(slot, name) for slot, name in zip(self.slots, names, strict=True)])


def _index(slot: Slot, name: str) -> int:
    if name in slot.names:
        return slot.names.index(name)
    near = difflib.get_close_matches(name, slot.names) or slot.names
    raise IllegalArchitecture(f"slot '{slot.name}' must name one of its operators, got '{name}': try {', '.join(near)}")
