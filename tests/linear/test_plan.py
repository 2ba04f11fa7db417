"""Decisions by hand: what pays, what does not, what is free once merged, and what the plan says about it."""

from dataclasses import replace
from functools import partial

import pytest

from linear.strategies import random
from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.cost import flops, roofline, traffic
from nascc.passes.linear.deploy import Deployed
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.forms import Form, Shape, build
from nascc.passes.linear.fuse import Fuser
from nascc.passes.linear.operator import Operator, Refusal
from nascc.passes.linear.plan import Join, Mode, Plan, steps
from nascc.passes.linear.planner import plan
from nascc.passes.linear.region import Chain, Concat, Expr, Leaf, Region, Site, Sum

SITE = Site((14, 14))


def conv(name: str, c: int, o: int, k: int = 1, *, s: int = 1, d: int = 1, g: int = 1, bias: bool = True) -> Leaf:
    vector = random((o,), seed=1) if bias else None
    p = d * (k // 2)
    return Leaf(name, convert.convolution(random((o, c // g, k, k), 2), vector, [s, s], [p, p], [d, d], g))


def inverted(c: int, k: int, e: int, s: int = 1, bias: bool = True) -> Chain:
    h = c * e
    return Chain((conv("expand", c, h, bias=bias), conv("depthwise", h, h, k, s=s, g=h), conv("project", h, c)))


def residual(c: int, k: int, e: int) -> Sum:
    return Sum((Leaf("skip", convert.identity(c, 2), "identity"), inverted(c, k, e)))


def linear(name: str, c: int, o: int) -> Leaf:
    return Leaf(name, convert.linear(random((o, c), 1), random((o,), 2)), "linear")


def forms(found: Plan) -> list[tuple[str, ...]]:
    return [s.members for s in found.segments]


@pytest.mark.parametrize(("k", "e", "pays"), [(3, 6, True), (3, 3, False), (5, 6, False), (7, 6, False)])
def test_inverted_bottlenecks_collapse_where_that_takes_fewer_operations(k: int, e: int, pays: bool) -> None:
    found = plan(Region(residual(32, k, e), SITE), flops)
    whole = [("skip", "expand", "depthwise", "project")]
    assert (forms(found) == whole) is pays
    always = plan(Region(residual(32, k, e), SITE), flops, Mode.ALWAYS)
    assert forms(always) == whole
    assert (always.cost_after <= always.cost_before) is pays
    never = plan(Region(residual(32, k, e), SITE), flops, Mode.NEVER)
    assert not never.changes and never.cost_after == never.cost_before == found.cost_before


def test_ratio_of_multiplications_is_the_published_one() -> None:
    found = plan(Region(inverted(128, 3, 6, bias=False), SITE), flops, Mode.ALWAYS)
    (segment,) = found.segments
    ratio = sum(op.macs for op in segment.after) / sum(op.macs for op in segment.before)
    assert ratio == pytest.approx(9 * 128 / (2 * 6 * 128 + 6 * 9), rel=1e-12)


def test_a_branch_that_is_dear_alone_is_free_once_merged() -> None:
    dear = Chain((conv("narrow", 32, 32, bias=False), conv("dear", 32, 32, 3)))
    alone = plan(Region(Chain((conv("first", 32, 4, bias=False), conv("wide", 4, 32, 3))), SITE), flops)
    assert not alone.changes
    branch = Chain((conv("first", 32, 4, bias=False), conv("wide", 4, 32, 3)))
    merged = plan(Region(Sum((dear, branch, conv("three", 32, 32, 3))), SITE), flops)
    assert forms(merged) == [("narrow", "dear", "first", "wide", "three")]


def test_branches_merge_in_groups() -> None:
    odd = conv("strange", 8, 8, 3, d=4)
    found = plan(Region(Sum((conv("a", 8, 8, 3), odd, conv("b", 8, 8, 3))), SITE), flops)
    assert sorted(forms(found)) == [("a", "b"), ("strange",)]
    assert isinstance(found.root, Join) and found.root.why is not None
    assert "together" in found.root.why.reason


@pytest.mark.parametrize(
    ("widths", "collapses"), [((512, 64, 512), False), ((512, 512, 512), True), ((512, 2048, 512), True)]
)
def test_linear_layers_collapse_when_parameters_shrink(widths: tuple[int, int, int], collapses: bool) -> None:
    row = Chain((linear("a", *widths[:2]), linear("b", *widths[1:])))
    for cost in (flops, roofline):
        assert plan(Region(row, Site(())), cost).changes is collapses
    assert plan(Region(row, Site(())), flops, Mode.ALWAYS).changes


def test_linear_layers_do_not_grow_even_where_a_cost_would_let_them() -> None:
    row = Chain((linear("a", 64, 8), linear("b", 8, 64)))
    found = plan(Region(row, Site(())), lambda ops: float(len(ops)))
    assert not found.changes
    assert "linear layers would grow from 1096 to 4160 parameters" in str(found)


def test_a_pointwise_operator_moves_to_the_cheaper_side_of_a_mean() -> None:
    mean = pool.average_pool(8, pool.Pool((2, 2), (2, 2), (1, 1), count_include_pad=False), (14, 14))
    assert isinstance(mean, pool.Averaging) and mean.operator is None
    found = plan(Region(Chain((conv("before", 8, 8), Leaf("mean", mean, "average_pool"))), SITE), flops)
    (segment,) = found.segments
    assert segment.form is not None and segment.form.shape.value == "after"
    up = rearrange.nearest_upsampling(8, (2, 2), (14, 14))
    found = plan(Region(Chain((Leaf("up", up, "upsample"), conv("behind", 8, 8))), SITE), flops)
    (segment,) = found.segments
    assert segment.form is not None and segment.form.shape.value == "before"


def test_a_pointwise_operator_behind_a_shuffle_folds_before_it() -> None:
    shuffle = Leaf("shuffle", rearrange.pixel_shuffle(8, 2), "pixel_shuffle")
    found = plan(Region(Chain((conv("three", 8, 32, 3), shuffle, conv("behind", 8, 4))), SITE), flops)
    (segment,) = found.segments
    assert segment.form is not None and segment.form.shape.value == "before"
    first, last = steps(segment)
    assert isinstance(first, Deployed) and first.conv.c_out == 16 and last is shuffle


def test_a_convolution_before_a_global_average_becomes_means() -> None:
    mean = Leaf("mean", pool.global_average_pool(16, (14, 14)), "average_pool")
    found = plan(Region(Chain((conv("three", 16, 16, 3), mean, conv("head", 16, 10))), SITE), flops)
    (segment,) = found.segments
    assert segment.form is not None and segment.form.shape.value == "shifted_means"
    assert found.cost_after < found.cost_before / 10


def test_a_fix_is_chosen_by_cost() -> None:
    def dear(kind: str, ops: tuple[LinearOp, ...]) -> float:
        return flops(ops) + 1e12 * sum(op.kind == kind for op in ops)

    region = Region(residual(32, 3, 6), SITE)
    assert plan(region, flops).segments[0].fix == "border_map"
    assert plan(region, partial(dear, "add_map")).segments[0].fix == "ones_channel"
    square = Chain((conv("a", 8, 8), conv("b", 8, 8, 3)))
    assert plan(Region(square, SITE), partial(dear, "add_map")).segments[0].fix == "pad_value"
    wide = Site((14, 14), (True, True), (8, 8))
    assert plan(Region(residual(32, 3, 6), wide), flops).segments[0].fix == "border_tile"
    anyhow = Site((14, 14), (True, True))
    assert plan(Region(residual(32, 3, 6), anyhow), flops).segments[0].fix == "ones_channel"


def test_the_plan_says_why_things_stay() -> None:
    row = Chain((conv("a", 8, 8, 3), conv("b", 8, 8, 3), conv("c", 8, 64), conv("d", 64, 64)))
    text = str(plan(Region(row, SITE), flops, Mode.AUTO))
    assert "border depends on data" in text
    assert "together" in text or "c + d" in text
    assert text.splitlines()[0].startswith("auto, 14x14: cost ")
    groups = Chain((conv("a", 8, 8), conv("b", 8, 8, 3, g=4, s=2), conv("c", 8, 8, g=4)))
    text = str(plan(Region(Chain(groups.parts[:2]), Site((14, 14), (True, True))), lambda ops: 1.0))
    assert "collapse" not in text


def test_concats_merge_neighbours_into_one_wider_convolution() -> None:
    found = plan(Region(Concat((conv("a", 8, 4), conv("b", 8, 6), conv("c", 8, 6, 3))), SITE), flops)
    assert forms(found) == [("a", "b"), ("c",)]
    found = plan(Region(Concat((conv("a", 8, 4), conv("b", 8, 6), conv("c", 8, 6, 3))), SITE), flops, Mode.ALWAYS)
    assert forms(found) == [("a", "b", "c")]


def test_a_concat_is_counted_against_the_branches_it_joins() -> None:
    def dear(ops: tuple[LinearOp, ...]) -> float:
        return flops(ops) + 1e9 * sum(op.kind == "concat" for op in ops)

    parts = Concat((conv("a", 8, 4), conv("b", 8, 6, 3)))
    assert forms(plan(Region(parts, SITE), flops)) == [("a",), ("b",)]
    assert forms(plan(Region(parts, SITE), dear)) == [("a", "b")]


def test_nothing_moves_behind_a_shuffle() -> None:
    row = (conv("before", 8, 32), Leaf("shuffle", rearrange.pixel_shuffle(8, 2), "pixel_shuffle"))
    found = build(Fuser(), row, SITE, Form(Shape.AFTER, pivot=1))
    assert isinstance(found, Refusal) and "only a mean" in found.reason


def test_the_tail_follows_the_last_operator_alone() -> None:
    seen: list[LinearOp] = []

    def cost(ops: tuple[LinearOp, ...]) -> float:
        seen.extend(ops)
        return flops(ops)

    found = plan(Region(inverted(8, 3, 3), SITE, ("relu6",)), cost, Mode.NEVER)
    assert [op.tail for s in found.segments for op in s.after] == [(), (), ("relu6",)]
    assert len({hash(op) for op in seen}) == len(set(seen))


def test_steps_hold_tensors_in_float64() -> None:
    found = plan(Region(residual(8, 3, 6), SITE), flops, Mode.ALWAYS)
    made = steps(found.segments[0])
    assert not isinstance(made, Refusal)
    (step,) = made
    assert isinstance(step, Deployed) and not step.conv.weight.is_meta and step.conv.weight.dtype.itemsize == 8
    assert step.addend is not None and step.addend.shape == (8, 14, 14) and step.conv.bias is None


def test_nothing_to_do_in_a_single_operator() -> None:
    one: Expr = conv("a", 4, 4, 3)
    assert isinstance(one, Leaf) and isinstance(one.operator, Operator)
    for mode in Mode:
        assert not plan(Region(one, SITE), flops, mode).changes


def test_costs_of_a_convolution() -> None:
    op = LinearOp("conv", 8, 16, (14, 14), (7, 7), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 2, True, batch=4)
    assert op.macs == 4 * 49 * 16 * 4 * 9 and flops((op,)) == 2 * op.macs
    assert op.params == 16 * 4 * 9 + 16
    assert traffic((op,)) == 4 * (4 * 8 * 196 + 4 * 16 * 49 + op.params)
    assert roofline((op,), 0.0, 0.0) == flops((op,)) and roofline((op,), 1e9, 0.0) == 1e9 * traffic((op,))
    assert traffic((replace(op, dtype="float16"),)) == traffic((op,)) / 2
