"""What DW-NAS rests on, by the latency model of every target: linear kernels, shallow networks, gains of collapsing."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from torch import fx, nn

from nascc.nas.core import Ctx
from nascc.nas.core.randomness import rng
from nascc.nas.costs.deployment import Deployment
from nascc.nas.costs.random_weights import randomise
from nascc.nas.macro import Macro, load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.zoo import ARCHITECTURES
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import estimate, kernel_ms, setting_of
from nascc.runtime.profile import Target, load_target, target_names
from nascc.tools.bench.dwnas_ablation import LINEAR, NONLINEAR

IMAGE = (3, 224, 224)
MULTIPLIERS = ("conv", "grouped", "pointwise", "depthwise", "gemm", "matmul")
UNIFORM = "k3e6"
DEPTHS = (1.0, 0.75, 0.5)
WIDTHS = tuple(1 - 0.01 * k for k in range(80))
SLOTS = (0, 3, 9, 12, 17, 20)
"""Slots of the LightNAS macro whose shapes are told: strides 2 and 1, from 112x112 down to 7x7."""


def calibrated() -> tuple[Target, ...]:
    """The targets that have a latency model."""
    found = (load_target(name) for name in target_names())
    return tuple(target for target in found if target.latency is not None)


def kernels(module: nn.Module, image: tuple[int, int, int], place: Deployment) -> tuple[Kernel, ...]:
    """What a network with seeded weights runs as."""
    return place.kernels(graph(module, image, place))


def graph(module: nn.Module, image: tuple[int, int, int], place: Deployment) -> fx.GraphModule:
    """The compiled graph of a network with seeded weights."""
    return place.compiled(randomise(module), image)


def shares(console: Console, batch: int) -> None:
    """How much of MobileNetV2's time linear kernels take; activations that run within them count in."""
    table = _table(f"MobileNetV2, batch {batch}: % of the time by kind of kernel (paper: linear over 93 %)")
    kinds = ("conv", "pointwise", "depthwise", "gemm")
    for column in ("target", "ms", "linear", *kinds):
        table.add_column(column, justify="left" if column == "target" else "right")
    for target in calibrated():
        place = Deployment(target, batch, collapse="never")
        found, setting = kernels(ARCHITECTURES["mobilenet_v2"](), IMAGE, place), setting_of(target)
        by_kind: dict[str, float] = {}
        for kernel in found:
            by_kind[kernel.kind] = by_kind.get(kernel.kind, 0.0) + kernel_ms(kernel, target, setting)
        total = estimate(found, target).ms
        linear = sum(by_kind.get(kind, 0.0) for kind in MULTIPLIERS)
        values = (linear, *(by_kind.get(kind, 0.0) for kind in kinds))
        table.add_row(target.name, f"{total:.3g}", *(f"{100 * value / total:.1f}" for value in values))
    console.print(table)


def shallow(console: Console, batch: int) -> None:
    """Networks with fewer blocks against networks with narrower ones, of equal MACs."""
    table = _table(f"Shallow against narrow networks of equal MACs (LightNAS macro, k3e6, batch {batch}): ms")
    headings = [f"{100 * depth:.0f} % deep | narrow" for depth in DEPTHS[1:]]
    for column in ("target", "whole", *headings, "narrow / shallow"):
        table.add_column(column, justify="left" if column == "target" else "right")
    place = Deployment(load_target("cpu"), batch, collapse="never")
    macro = load_macro("lightnas")
    whole = kernels(uniform(macro), macro.input, place)
    pairs = []
    for depth in DEPTHS[1:]:
        fewer = kernels(uniform(shallower(macro, depth)), macro.input, place)
        pairs.append((fewer, kernels(uniform(narrower(macro, _macs(fewer), place)), macro.input, place)))
    for target in calibrated():
        times = [[estimate(one, target).ms for one in pair] for pair in pairs]
        ratios = " ".join(f"{narrow / fewer:.2f}" for fewer, narrow in times)
        shown = [f"{fewer:.3g} | {narrow:.3g}" for fewer, narrow in times]
        table.add_row(target.name, f"{estimate(whole, target).ms:.3g}", *shown, ratios)
    console.print(table)


def uniform(macro: Macro) -> nn.Module:
    """The network with one operator everywhere."""
    space = MacroSpace(macro, 1000, operators=[UNIFORM])
    return space.build((0,) * len(space.slots))


def shallower(macro: Macro, depth: float) -> Macro:
    """A share of the blocks of every stage, at least one."""
    stages = tuple(s.model_copy(update={"blocks": max(1, round(depth * s.blocks))}) for s in macro.stages)
    return macro.model_copy(update={"stages": stages})


def narrower(macro: Macro, macs: int, place: Deployment) -> Macro:
    """The widest macro of at most as many MACs."""
    finer = macro.model_copy(update={"divisor": 4})
    low, high = 0, len(WIDTHS) - 1
    while low < high:
        middle = (low + high) // 2
        fits = _macs(kernels(uniform(finer.scaled(width=WIDTHS[middle])), macro.input, place)) <= macs
        low, high = (low, middle) if fits else (middle + 1, high)
    return finer.scaled(width=WIDTHS[low])


def gains(console: Console, batch: int) -> None:
    """How much faster blocks and networks become, by the decision of each target."""
    console.print(_block_gains(batch))
    console.print(_network_gains((1, batch)))


def _block_gains(batch: int) -> Table:
    """Uncollapsed / compiled, for linear blocks."""
    table = _table(f"Linear blocks, batch {batch}: time uncollapsed / compiled by default (1.00: kept as it is)")
    for column in ("target", "shape", *LINEAR):
        table.add_column(column, justify="left" if column in ("target", "shape") else "right")
    space = MacroSpace(load_macro("lightnas"), 10, operators=LINEAR)
    places = [place for place in space.places if place.slot in SLOTS]
    cpu = load_target("cpu")
    apart = {
        (p.name, op.name): _block(p.ctx, op.make, Deployment(cpu, batch, collapse="never"))
        for p in places
        for op in p.ops
    }
    for target in calibrated():
        for p in places:
            ratios = []
            for op in p.ops:
                now = _block(p.ctx, op.make, Deployment(target, batch))
                ratios.append(_ms(apart[p.name, op.name], target) / _ms(now, target))
            c, h, w = p.ctx.shape
            table.add_row(target.name, f"{c}x{h}x{w} -> {p.ctx.c_out} /{p.ctx.stride}", *(f"{r:.2f}" for r in ratios))
    return table


def _network_gains(batches: Sequence[int]) -> Table:
    """Uncollapsed / compiled, for whole networks of the LightNAS macro."""
    table = _table("Networks of the LightNAS macro: time uncollapsed / compiled by default")
    names = ["k3e3l", "k3e6l", "k5e6l", "k7e6l", "random"]
    for column in ("target", "batch", *names):
        table.add_column(column, justify="left" if column == "target" else "right")
    space = MacroSpace(load_macro("lightnas"), 1000, operators=(*NONLINEAR, *LINEAR))
    archs = {name: (space.operators.index(name),) * len(space.slots) for name in names[:-1]}
    archs["random"] = space.random(rng(0, "gains"))
    for batch in batches:
        place = Deployment(load_target("cpu"), batch, collapse="never")
        apart = {name: kernels(space.build(arch), space.input_shape, place) for name, arch in archs.items()}
        for target in calibrated():
            now = {n: kernels(space.build(a), space.input_shape, Deployment(target, batch)) for n, a in archs.items()}
            ratios = [estimate(apart[n], target).ms / estimate(now[n], target).ms for n in archs]
            table.add_row(target.name, str(batch), *(f"{ratio:.2f}" for ratio in ratios))
    return table


def _block(ctx: Ctx, make: object, place: Deployment) -> tuple[Kernel, ...]:
    assert callable(make)
    return kernels(make(ctx), ctx.shape, place)


def _ms(found: Sequence[Kernel], target: Target) -> float:
    setting = setting_of(target)
    return sum(kernel_ms(kernel, target, setting) for kernel in found)


def _macs(found: Sequence[Kernel]) -> int:
    return sum(kernel.count * kernel.macs for kernel in found)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left")
