"""The forms a run of parts may take instead of standing as it is, all of them exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.deploy import EXACT, Deployed, deploy, fixes_for
from nascc.passes.linear.describe import Tail, describe_deployed, describe_leaf
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.flatten import flatten_image
from nascc.passes.linear.fuse import Fuser
from nascc.passes.linear.operator import Operator, Refusal
from nascc.passes.linear.pool import Averaging, shifted_means
from nascc.passes.linear.rearrange import PixelShuffle
from nascc.passes.linear.region import FLATTEN, Expr, Leaf, Site, is_flat, plain, sites


class Shape(Enum):
    """What the parts become."""

    COMPOSED = "composed"
    """One operator."""
    BEFORE = "before"
    """One operator, then a mean or a shuffle, with the pointwise parts behind it moved before it."""
    AFTER = "after"
    """A mean, then one operator, with the pointwise parts before it moved behind it."""
    MEANS = "shifted_means"
    """Means of the input under each tap, then one matrix, for a convolution before a global average."""


@dataclass(frozen=True)
class Form:
    """A shape, what it does at borders, and around which part (`pivot`) it moves others."""

    shape: Shape = Shape.COMPOSED
    repair: Repair = Repair.NONE
    fix: str = EXACT
    pivot: int = 0


Step = Deployed | Leaf
"""A new convolution, or an operator of the original graph to be run again, perhaps on other channels."""


def forms(fuser: Fuser, row: Sequence[Expr], site: Site) -> Iterator[Form]:
    """Candidates of every shape; `build` says which of them are legal."""
    for repair in Repair:
        op = fuser.fuse_row(row, site.known, repair)
        if isinstance(op, Operator):
            if is_flat(row[-1]):
                yield Form(Shape.COMPOSED, repair)
                break
            yield from (Form(Shape.COMPOSED, repair, fix) for fix in fixes_for(op, site.known, site.bounds))
            if repair is Repair.NONE:
                break
    for pivot, part in enumerate(row):
        if isinstance(part, Leaf) and not isinstance(part.operator, Operator) and len(row) > 1:
            yield from (Form(shape, pivot=pivot) for shape in (Shape.BEFORE, Shape.AFTER, Shape.MEANS))


def build(fuser: Fuser, row: Sequence[Expr], site: Site, form: Form) -> tuple[Step, ...] | Refusal:
    """The operators that a form puts in the place of the row."""
    flat = is_flat(row[-1])
    if form.shape is Shape.COMPOSED:
        return _deployed(fuser.fuse_row(row, site.known, form.repair), form.fix, site, flat)
    pivot = row[form.pivot]
    assert isinstance(pivot, Leaf), "a form moves parts around an operator of the original graph"
    before, after = row[: form.pivot], row[form.pivot + 1 :]
    if form.shape is Shape.AFTER:
        return _after(fuser, before, pivot, after, site)
    moved = _moved_before(fuser, before, pivot, after, site)
    if form.shape is Shape.BEFORE:
        steps = _deployed(moved, EXACT, site)
        end = (Leaf(FLATTEN, pivot.operator, FLATTEN, flattens=True),) if flat and not pivot.flattens else ()
        return steps if isinstance(steps, Refusal) else (*steps, pivot, *end)
    return _means(moved, pivot, site, flat)


def _deployed(op: Operator | Refusal, fix: str, site: Site, flat: bool = False) -> tuple[Step, ...] | Refusal:
    if isinstance(op, Refusal):
        return op
    deployed = flatten_image(op, site.known) if flat else deploy(op, fix, site.known, site.bounds)
    return deployed if isinstance(deployed, Refusal) else (deployed,)


def _moved_before(
    fuser: Fuser, before: Sequence[Expr], pivot: Leaf, after: Sequence[Expr], site: Site
) -> Operator | Refusal:
    """The parts before the pivot, and those behind it moved before it, as one operator."""
    first = fuser.fuse_row(before, site.known, Repair.NONE) if before else None
    if isinstance(first, Refusal) or not after:
        return first or Refusal("nothing stands around the pivot")
    behind = sites([*before, pivot], site)[-1]
    moved = fuser.fuse_row(after, behind.known, Repair.NONE)
    if isinstance(moved, Refusal):
        return moved
    if not moved.is_pointwise:
        return Refusal("only pointwise operators pass through a mean or a shuffle")
    if isinstance(pivot.operator, PixelShuffle):
        moved = pivot.operator.lift(moved)
    return moved if first is None else compose(moved, first, site.known)


def _after(
    fuser: Fuser, before: Sequence[Expr], pivot: Leaf, after: Sequence[Expr], site: Site
) -> tuple[Step, ...] | Refusal:
    """The pivot first, then the parts before it and those behind it as one operator."""
    if not before or not isinstance(pivot.operator, Averaging):
        return Refusal("only a mean can move before what stands before it")
    moved = fuser.fuse_row(before, site.known, Repair.NONE)
    if isinstance(moved, Refusal):
        return moved
    if not moved.is_pointwise:
        return Refusal("only pointwise operators pass through a mean")
    behind = sites([*before, pivot], site)[-1]
    last = fuser.fuse_row(after, behind.known, Repair.NONE) if after else None
    if isinstance(last, Refusal):
        return last
    whole = moved if last is None else compose(last, moved, behind.known)
    steps = _deployed(whole, EXACT, behind, flat=is_flat(pivot) or any(map(is_flat, after)))
    return steps if isinstance(steps, Refusal) else (pivot, *steps)


def _means(moved: Operator | Refusal, pivot: Leaf, site: Site, flat: bool) -> tuple[Step, ...] | Refusal:
    if isinstance(moved, Refusal):
        return moved
    pool = plain(pivot.operator)
    whole = tuple(tuple(range(n or 0)) for n in moved.out_size(site.known))
    if not isinstance(pivot.operator, Averaging) or pool is None or pool.offsets != whole:
        return Refusal("means under each tap need a global average and a static size")
    pair = shifted_means(moved, site.size)
    if isinstance(pair, Refusal):
        return pair
    means, matrix = pair
    first = _deployed(means, EXACT, site)
    last = _deployed(matrix, EXACT, site.after(means), flat)
    if isinstance(first, Refusal) or isinstance(last, Refusal):
        return Refusal("means under each tap are plain convolutions")
    return (*first, *last)


def describe_steps(steps: Sequence[Step], channels: int, site: Site, tail: Tail = ()) -> tuple[LinearOp, ...]:
    """The operators of steps one after the other, for a cost function."""
    ops: list[LinearOp] = []
    for k, step in enumerate(steps):
        last = tail if k == len(steps) - 1 else ()
        if isinstance(step, Leaf):
            ops += describe_leaf(step, channels, site, last)
            channels = ops[-1].c_out if ops else channels
        else:
            ops += describe_deployed(step, site, last)
            channels = step.conv.c_out
        site = _site_behind(step, site)
    return tuple(ops)


def _site_behind(step: Step, site: Site) -> Site:
    if isinstance(step, Leaf):
        return site if step.kind == FLATTEN else sites([step], site)[-1]
    return site.resized((1,) * len(site.size) if step.flattens else step.conv.out_size(site.size))
