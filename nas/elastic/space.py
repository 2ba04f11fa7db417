"""The sub-networks of a network: how many filters every layer keeps, and the kernels of its depthwise ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import fx, nn

from nascc.nas.core import Arch, Ctx, Form, Op, Slot, Space
from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.slice import Sliced
from nascc.nas.elastic.thresholds import Thresholds
from nascc.nas.elastic.trainable import trainable
from nascc.nas.errors import SearchError

LEVELS = 9


@dataclass(frozen=True)
class Chosen:
    """Of every layer of a layout, the filters M it keeps (before a depthwise one is clipped) and its kernel size."""

    filters: tuple[int, ...]
    kernels: tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """What a slot chooses: `values` of filters, or of kernel sizes, of a layer by its index."""

    layer: int
    values: tuple[int, ...]
    is_kernel: bool = False


class ElasticSpace(Space):
    """`levels` uniform widths a layer from all its filters to none (NetAdaptV2, Sec. 4: 9), and odd kernels.

    `graph` is the initial network in the IR, loosened, of `BATCH` images (see `captured_for`). Slots are ordered; a
    slot 'NAME' holds the widths of a layer, 'NAME/kernel' its kernels. Layers that can not shrink have none. Raises
    SearchError where nothing can shrink, and for thresholds that do not fit.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        image: tuple[int, int, int],
        thresholds: Thresholds = Thresholds(),  # noqa: B008
        levels: int = LEVELS,
        kernels: bool = True,
    ) -> None:
        if levels < 2:
            raise SearchError(f"a layer must have at least 2 widths to choose from, got {levels}")
        self.graph, self.input_shape, self.thresholds = graph, image, thresholds
        self.layout = Layout.of(graph, thresholds)
        self.layout.require_shrinkable()
        self.selected = tuple(self._choices(levels, kernels))
        if not self.selected:
            raise SearchError(
                f"some layer must have two widths or kernels to choose from, found none with {levels} levels; raise "
                "elastic.levels, or allow bypasses and kernels"
            )
        self.slots = tuple(map(self._slot, self.selected))

    def chosen(self, arch: Sequence[int]) -> Chosen:
        """Filters and kernels of an architecture. Raises IllegalArchitecture."""
        filters = [layer.filters for layer in self.layout.layers]
        kernels = [layer.kernels[0] if layer.kernels else 0 for layer in self.layout.layers]
        for choice, index in zip(self.selected, self.check(arch), strict=True):
            (kernels if choice.is_kernel else filters)[choice.layer] = choice.values[index]
        return Chosen(tuple(filters), tuple(kernels))

    @property
    def largest(self) -> Arch:
        """The initial network itself."""
        return (0,) * len(self.slots)

    @property
    def smallest(self) -> Arch:
        """Every slot at its last choice."""
        return tuple(n - 1 for n in self.choices)

    def sliced(self, arch: Sequence[int], graph: fx.GraphModule | None = None) -> fx.GraphModule:
        """The physically small network in the IR, with the numbers of the graph, or of another copy of it."""
        return Sliced(graph or self.graph, self.layout, self.chosen(arch)).graph()

    def shrink(self, arch: Arch, slot: int) -> Arch | None:
        if arch[slot] + 1 >= len(self.selected[slot].values):
            return None
        return (*arch[:slot], arch[slot] + 1, *arch[slot + 1 :])

    def build(self, arch: Arch, form: Form = "train") -> nn.Module:
        """The small network with fresh weights; both forms are the same, since the compiler has nothing to collapse."""
        module = trainable(self.sliced(arch))
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.reset_parameters()
        with torch.no_grad():
            for name, value in module.named_parameters():
                if value.ndim > 1:
                    nn.init.kaiming_normal_(value, mode="fan_in", nonlinearity="relu")
                elif not name.startswith("norms_"):
                    value.zero_()
        return module

    def _choices(self, levels: int, kernels: bool) -> list[Choice]:
        found = []
        for k in self.layout.shrinkable:
            layer = self.layout.layers[k]
            widths = {round(Fraction(layer.filters * step, levels - 1)) for step in range(levels)}
            values = sorted((w for w in widths if w >= layer.least), reverse=True)
            if len(values) > 1:
                found.append(Choice(k, tuple(values)))
            if kernels and len(layer.kernels) > 1:
                found.append(Choice(k, layer.kernels, is_kernel=True))
        return found

    def _slot(self, choice: Choice) -> Slot:
        layer = self.layout.layers[choice.layer]
        letter, suffix = ("k", "/kernel") if choice.is_kernel else ("w", "")
        ops = tuple(Op(f"{letter}{value}", _no_module(layer.name)) for value in choice.values)
        return Slot(f"{layer.name}{suffix}", ops, ordered=True)


def _no_module(name: str) -> Callable[[Ctx], nn.Module]:
    def make(ctx: Ctx) -> nn.Module:
        raise SearchError(f"a width of '{name}' must be taken from its network, it is no module of its own")

    return make
