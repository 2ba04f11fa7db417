"""What each block of a teacher may be replaced by."""

from collections.abc import Sequence

import torch
from torch import nn

from nascc.nas.core import Arch, Ctx, Form, Op, Slot, Space
from nascc.nas.core.randomness import derive
from nascc.nas.pool import TEACHER, Operator, operators_of
from nascc.nas.regions.chain import Chain
from nascc.nas.regions.teacher import Teacher


class RegionSpace(Space):
    """One slot a block; operator 0 is the teacher's own. `contexts` says where each stands."""

    def __init__(self, teacher: Teacher, image: tuple[int, int, int], operators: Sequence[Operator], seed: int) -> None:
        self.teacher, self.input_shape, self.seed = teacher, image, seed
        self.contexts = teacher.contexts
        self.operators = tuple(operators_of(ctx, operators) for ctx in self.contexts)
        self.chain = teacher.chain()
        self.slots = tuple(
            Slot(place.name, (self._own(slot), *(operator.op for operator in own)))
            for slot, (place, own) in enumerate(zip(teacher.places, self.operators, strict=True))
        )

    @property
    def teacher_arch(self) -> Arch:
        """The teacher itself."""
        return (0,) * len(self.slots)

    def candidate(self, slot: int, index: int) -> nn.Module:
        """A candidate with fresh weights, which follow from the seed, the block and the operator alone."""
        name = self.slots[slot].names[index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, "candidate", self.slots[slot].name, name))
            return self.slots[slot].ops[index].make(self.contexts[slot])

    def build(self, arch: Arch, form: Form = "train") -> Chain:
        """The student of an architecture: what is not the teacher's own has fresh weights."""
        chosen = {slot: self.candidate(slot, index) for slot, index in enumerate(self.check(arch)) if index}
        return self.chain.with_blocks(chosen)

    def _own(self, slot: int) -> Op:
        def make(ctx: Ctx) -> nn.Module:
            return self.teacher.part(self.chain.places[slot])

        return Op(TEACHER, make)
