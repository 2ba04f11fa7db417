"""The space of a macro-architecture: one slot per searched block, each choosing among operators by name."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.blocks.head import Head
from nascc.nas.blocks.operators import SKIP, operator, with_squeeze_excite
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op, Slot
from nascc.nas.core.space import Arch, Form, Space
from nascc.nas.errors import SearchError
from nascc.nas.macro import Macro


@dataclass(frozen=True)
class Part:
    """A piece of a network: its name there, and what stands where. `slot` is None for what is not searched."""

    name: str
    op: Op
    ctx: Ctx
    slot: int | None = None


@dataclass(frozen=True)
class Place:
    """A block of the macro: its name, its context, its operators; not searched unless it has a slot."""

    name: str
    ctx: Ctx
    ops: tuple[Op, ...]
    slot: int | None


class MacroSpace(Space):
    """All networks of a macro: stem, blocks, head; a sequence whose contexts no choice changes.

    `operators` replaces the macro's own, `input_shape` (C, H, W) its input; the last `se_last` slots get
    squeeze-and-excitation (LightNAS, Table 4).
    """

    def __init__(
        self,
        macro: Macro,
        classes: int,
        operators: Sequence[str] | None = None,
        input_shape: tuple[int, int, int] | None = None,
        se_last: int = 0,
    ) -> None:
        self.macro, self.classes, self.se_last = macro, classes, se_last
        self.input_shape = macro.input if input_shape is None else input_shape
        self.operators = tuple(operators or macro.operators)
        self._places = tuple(self._read())
        searched = [place for place in self._places if place.slot is not None]
        if se_last > len(searched):
            raise SearchError(f"squeeze-and-excitation must be asked for at most {len(searched)} slots, got {se_last}")
        self.slots = tuple(Slot(place.name, place.ops) for place in searched)

    def parts(self, arch: Arch) -> tuple[Part, ...]:
        """The network of `arch` in order, from stem to head. Raises IllegalArchitecture."""
        arch = self.check(arch)
        return tuple(Part(p.name, p.ops[0 if p.slot is None else arch[p.slot]], p.ctx, p.slot) for p in self._places)

    @property
    def places(self) -> tuple[Place, ...]:
        """Every block with all its choices, from stem to head."""
        return self._places

    def build(self, arch: Arch, form: Form = "train") -> nn.Sequential:
        """The network of `arch`: images [N, C, H, W] -> logits [N, classes]; its children have the names of the parts.

        What the compiler makes of it depends on a target: see `nascc.nas.emit`.
        """
        if form != "train":
            raise SearchError("a network of a macro must be built in the form 'train'; compile it for 'deploy'")
        return nn.Sequential(OrderedDict((part.name, part.op.make(part.ctx)) for part in self.parts(arch)))

    def _read(self) -> Iterator[Place]:
        macro = self.macro
        stem = Ctx(self.input_shape, macro.stem.channels, macro.stem.stride, macro.activation)
        yield Place("stem", stem, (Op(f"conv{macro.stem.kernel}", _stem(macro.stem.kernel)),), None)
        shape, slot = stem.out_shape, 0
        slots = sum(stage.blocks for stage in macro.stages if stage.operator is None)
        for number, (channels, stride, fixed) in enumerate(_blocks(macro)):
            ctx = Ctx(shape, channels, stride, macro.activation)
            if fixed is not None:
                yield Place(f"block{number}", ctx, (operator(fixed),), None)
            else:
                yield Place(f"block{number}", ctx, self._choices(ctx, se=slot >= slots - self.se_last), slot)
                slot += 1
            shape = ctx.out_shape
        head = macro.head
        name = f"head{'-'.join(map(str, (head.channels, *head.hidden)))}"
        yield Place("head", Ctx(shape, self.classes, 1, macro.activation), (Op(name, _head(macro)),), None)

    def _choices(self, ctx: Ctx, se: bool) -> tuple[Op, ...]:
        ops = [operator(name) for name in self.operators]
        if self.macro.skip == "identity" and not ctx.keeps_shape:
            ops = [op for op in ops if op != SKIP]
        return tuple(with_squeeze_excite(op) if se else op for op in ops)


def _blocks(macro: Macro) -> Iterator[tuple[int, int, str | None]]:
    """(channels, stride, fixed operator) of every block."""
    for stage in macro.stages:
        for index in range(stage.blocks):
            yield stage.channels, stage.stride if index == 0 else 1, stage.operator


def _stem(kernel: int) -> Callable[[Ctx], nn.Module]:
    return lambda ctx: ConvNormAct(ctx.c_in, ctx.c_out, kernel, ctx.stride, act=ctx.activation)


def _head(macro: Macro) -> Callable[[Ctx], nn.Module]:
    return lambda ctx: Head(ctx, macro.head.channels, macro.head.hidden, macro.head.dropout)
