"""A sum of descriptions is the cost of the compiled network, whatever the passes do across operators."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNorm
from nascc.nas.blocks.operators import SKIP, operator
from nascc.nas.core import Ctx, Op, Slot, one_hot
from nascc.nas.costs import (
    Deployment,
    DescribedSpace,
    Describer,
    Reach,
    compiled_graph,
    cost_from,
    describe,
    parse_budget,
    reach_of,
    resolve,
    wider_shape,
)
from nascc.nas.costs.random_weights import randomise
from nascc.nas.errors import NotAdditive, RangeTooNarrow, SearchError
from nascc.nas.macro import Head, Macro, Stage, Stem, load_macro
from nascc.nas.spaces import MacroSpace
from nascc.runtime.errors import NotCalibrated
from nascc.runtime.profile import load_target

METRICS = ("latency", "macs", "params", "bytes")
XAVIER = Deployment(load_target("xavier"), batch=64)


class Bottleneck(nn.Module):
    """Linear through and through, with a residual."""

    def __init__(self, ctx: Ctx) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvNorm(ctx.c_in, 4, 1), ConvNorm(4, ctx.c_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Turn(nn.Module):
    """Neither a convolution nor elementwise."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 1, 3, 2)


def op(name: str, make: Callable[[Ctx], nn.Module]) -> Op:
    return Op(name, make)


OPEN = (
    op("linear", lambda ctx: ConvNorm(ctx.c_in, ctx.c_out, 1)),
    op("bottleneck", Bottleneck),
    op("filter", lambda ctx: ConvNorm(ctx.c_in, ctx.c_out, 3, groups=ctx.c_in)),
    op("silu", lambda ctx: nn.SiLU()),
    op("turn", lambda ctx: Turn()),
    operator("k3e1"),
    SKIP,
)
"""Operators between which nearly anything can be collapsed or fused."""


class OpenSpace(MacroSpace):
    def __init__(self, ops: tuple[Op, ...] = OPEN) -> None:
        head, stages = Head(channels=16), (Stage(channels=8, blocks=3),)
        macro = Macro(
            name="open", input=(3, 16, 16), operators=("skip",), stem=Stem(channels=8), stages=stages, head=head
        )
        super().__init__(macro, classes=10)
        self._places = tuple(p if p.slot is None else replace(p, ops=ops) for p in self._places)
        self.slots = tuple(Slot(p.name, p.ops) for p in self._places if p.slot is not None)


def check_exact(described: DescribedSpace, archs: list[tuple[int, ...]]) -> None:
    """Every cost of every architecture equals that of the compiled network."""
    space, place = described.space, described.deployment
    costs = [described.cost(metric) for metric in METRICS]
    for seed, arch in enumerate(archs):
        graph = place.compiled(randomise(space.build(arch), seed + 1), space.input_shape)
        for cost in costs:
            assert cost(arch) == pytest.approx(cost.of_graph(graph), rel=1e-9), (cost.metric, space.name_of(arch))


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> DescribedSpace:
    space = MacroSpace(load_macro("toy"), 10, operators=("k3e3", "k5e6", "skip"))
    return describe(space, Describer(XAVIER, tmp_path_factory.mktemp("profile")))


def test_equals_the_compiled_network(toy: DescribedSpace) -> None:
    """Projections of one block collapse into expansions of a later one where all between are skipped."""
    names = ("k3e3 skip k3e3 skip k5e6 skip", "k5e6 skip skip k3e3 k3e3 k3e3", "k5e6 k3e3 skip skip k3e3 skip")
    check_exact(toy, [toy.space.parse(name) for name in names])
    assert toy.cost("latency").form.junctions


def test_equals_the_compiled_network_where_operators_are_open() -> None:
    ops = tuple(op for op in OPEN if op.name in ("linear", "bottleneck", "silu", "skip"))
    described = describe(OpenSpace(ops), Describer(replace(XAVIER, batch=4)))
    assert described.has_runs
    chosen = ("linear silu silu", "bottleneck skip linear", "linear bottleneck linear")
    check_exact(described, [described.space.parse(name) for name in chosen])
    reach = reach_of(described.cost("latency"), described.space)
    assert reach.least < reach.most


@pytest.mark.slow
def test_equals_the_compiled_network_in_any_open_space() -> None:
    described = describe(OpenSpace(), Describer(replace(XAVIER, batch=4)))
    check_exact(described, [described.space.random(random.Random(k)) for k in range(40)])


def test_soft_is_the_cost_at_corners_and_its_mean_between(toy: DescribedSpace) -> None:
    cost, space = toy.cost("latency"), toy.space
    first, second = space.parse("k3e3 skip k3e3 skip k5e6 skip"), space.parse("k3e3 skip k3e3 skip k3e3 skip")
    corners = [one_hot(arch, space.choices, torch.float64) for arch in (first, second)]
    for arch, corner in zip((first, second), corners, strict=True):
        assert float(cost.soft(corner)) == pytest.approx(cost(arch), rel=1e-12)
    middle = (0.25 * corners[0] + 0.75 * corners[1]).requires_grad_()
    soft = cost.soft(middle)
    assert float(soft.detach()) == pytest.approx(0.25 * cost(first) + 0.75 * cost(second), rel=1e-12)
    soft.backward()  # type: ignore[no-untyped-call]
    assert middle.grad is not None
    swap = float(middle.grad[4, first[4]] - middle.grad[4, second[4]])
    assert swap == pytest.approx(cost(first) - cost(second), rel=1e-9)


def test_a_table_exists_only_where_neighbours_leave_each_other_alone(toy: DescribedSpace) -> None:
    cost = toy.cost("latency")
    with pytest.raises(NotAdditive, match="14 pairs of neighbours"):
        cost.table()
    rows, constant = cost.upper_table()
    arch = toy.space.parse("k3e3 skip k3e3 skip k5e6 skip")
    assert constant + sum(row[k] for row, k in zip(rows, arch, strict=True)) > cost(arch)


def test_each_operator_is_compiled_once(toy: DescribedSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six slots of three operators, stem and head, of which two and two share a context; then nothing again."""
    describer = toy.describer
    alone, pairs = 6 * 3 + 2, 2 * (2 * 3) + 2
    assert describer.compiled == alone + pairs == len(describer.store)
    told: list[tuple[int, int]] = []
    assert describer.store.path is not None
    again = Describer(XAVIER, describer.store.path.parent)
    found = describe(toy.space, again, lambda done, total, what: told.append((done, total)))
    assert again.compiled == 0 and told[-1][0] == told[-1][1]
    arch = toy.space.random(random.Random(0))
    assert [found.cost(m)(arch) for m in METRICS] == [toy.cost(m)(arch) for m in METRICS]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema": "nascc.descriptions/1", "deployment": "x"}'])
def test_damaged_descriptions_are_made_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "descriptions.json").write_text(text)
    assert len(Describer(XAVIER, tmp_path).store) == 0


def test_descriptions_hold_for_one_deployment(toy: DescribedSpace) -> None:
    assert toy.describer.store.path is not None
    folder = toy.describer.store.path.parent
    modes = replace(XAVIER, opset=11), replace(XAVIER, power_mode="10w")
    for other in (replace(XAVIER, batch=8), replace(XAVIER, target=load_target("orin")), *modes):
        assert len(Describer(other, folder).store) == 0


def test_range_is_exact(toy: DescribedSpace) -> None:
    for metric in METRICS:
        cost = toy.cost(metric)
        reach, space = reach_of(cost, toy.space), toy.space
        every = [cost(arch) for arch in _all(space)]
        assert (reach.least, reach.most, reach.exact) == (min(every), max(every), True)


def test_too_narrow_a_range_names_a_shape(toy: DescribedSpace) -> None:
    """At batch 1 launches are all: what is kept of the toy space differs by little."""
    space = MacroSpace(load_macro("toy"), 10, operators=("k3e3", "k7e6"))
    described = describe(space, Describer(Deployment(load_target("xavier"))))
    cost = described.cost("latency")
    with pytest.raises(RangeTooNarrow, match=r"at --shapes \d+x1x24x24 it is 1\.[5-9]\d times"):
        resolve(parse_budget("latency", "50%"), {"latency": cost}, space, lambda: wider_shape(described))
    assert isinstance(reach_of(cost, space), Reach)


def test_refuses_what_it_can_not_tell(toy: DescribedSpace) -> None:
    with pytest.raises(SearchError, match="'energy' must come from measurements"):
        toy.cost("energy")
    with pytest.raises(SearchError, match="'speed' is unknown"):
        toy.cost("speed")
    with pytest.raises(SearchError, match="at least 1, got 0"):
        Deployment(load_target("nano"), 0)
    with pytest.raises(NotCalibrated):
        replace(toy, describer=Describer(Deployment(load_target("cuda")))).cost("latency")


@pytest.mark.slow
def test_published_networks_have_their_macs() -> None:
    """LightNAS-20ms: 344.9 M of convolutions and matrix products, an image, before anything is collapsed."""
    space = MacroSpace(load_macro("lightnas"), 1000)
    arch = (6, 0, 1, 4, 0, 2, 4, 1, 0, 5, 2, 5, 4, 2, 4, 6, 2, 4, 4, 1, 5)
    describer = Describer(Deployment(load_target("cpu"), batch=2))
    macs = sum(k.macs * k.count for p in space.parts(arch) for k in describer.operator(p.op, p.ctx).kernels) / 2
    assert macs == pytest.approx(344.9e6, rel=1e-3)


def test_sources_of_a_cost(toy: DescribedSpace, tmp_path: Path) -> None:
    """Described; described and corrected; energy from networks; energy from a table."""
    assert cost_from(toy, "latency").quality is None
    latency, space = toy.cost("latency"), toy.space
    archs = [space.random(random.Random(k)) for k in range(30)]
    lines = [f"{space.name_of(arch)},{2 * latency(arch) + 0.1!r}" for arch in archs]
    (tmp_path / "networks.csv").write_text("\n".join(["arch,value", *lines]))
    for metric in ("latency", "energy"):
        found = cost_from(toy, metric, networks=tmp_path / "networks.csv", predictor="affine")
        assert found.cost.metric == metric and found.quality is not None
        assert found.cost(archs[0]) == pytest.approx(2 * latency(archs[0]) + 0.1, rel=1e-9)
    rows = [f"{slot.name},{name},2" for slot in space.slots for name in slot.names]
    (tmp_path / "table.csv").write_text("\n".join(["slot,operator,value", *rows]))
    assert cost_from(toy, "energy", table=tmp_path / "table.csv").cost(archs[0]) == 12
    with pytest.raises(SearchError, match="energy must be measured"):
        cost_from(toy, "energy")


def test_compiles_any_module_for_of_graph(toy: DescribedSpace) -> None:
    graph = compiled_graph(nn.Conv2d(3, 4, 3).eval(), ["2x3x8x8"], load_target("xavier"))
    assert toy.cost("params").of_graph(graph) == 3 * 4 * 9 + 4


def _all(space: MacroSpace) -> list[tuple[int, ...]]:
    archs: list[tuple[int, ...]] = [()]
    for choices in space.choices:
        archs = [(*arch, k) for arch in archs for k in range(choices)]
    return archs
