"""Descriptions of what a plan would deploy, for cost functions."""

from dataclasses import replace
from math import prod

from nascc.passes.linear.convert import constant_pad
from nascc.passes.linear.convolution import Convolution, to_convolution
from nascc.passes.linear.deploy import BORDER_MAP, BORDER_TILE, ONES_CHANNEL, PAD_VALUE, Deployed
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.operator import Operator
from nascc.passes.linear.region import FLATTEN, IDENTITY, Leaf, Site, flattened, plain

Tail = tuple[str, ...]
FREE = (IDENTITY, FLATTEN)
"""Kinds of leaves that are no calls."""
ELEMENTWISE = ("per_channel", "subtract")


def describe_deployed(deployed: Deployed, site: Site, tail: Tail = ()) -> tuple[LinearOp, ...]:
    """The operators of a convolution and its fix, in the order they run."""
    conv, fix = deployed.conv, deployed.fix
    site = flattened(site) if deployed.flattens else site
    ops: list[LinearOp] = []
    if fix == PAD_VALUE:
        ops.append(_elementwise("subtract", conv.c_in, site, site.size))
    if fix == ONES_CHANNEL:
        dims = (site.size, site.size)
        ops.append(LinearOp("cat_ones", conv.c_in - 1, conv.c_in, *dims, batch=site.batch, dtype=site.dtype))
    if fix not in (BORDER_MAP, BORDER_TILE):
        return (*ops, *_describe_as_called(conv, site, tail))
    kind = "add_map" if fix == BORDER_MAP else "add_tile"
    border = _elementwise(kind, conv.c_out, site, conv.out_size(site.size), tail)
    return (*ops, *_describe_as_called(conv, site, ("add", *tail)), border)


def _describe_as_called(conv: Convolution, site: Site, tail: Tail) -> tuple[LinearOp, ...]:
    """A convolution as the calls it takes, which a later plan would find again.

    One that pads unevenly has a pad in front; on vectors, one number a channel is a product and a sum.
    """
    if conv.rank == 0 and conv.groups > 1:
        if conv.groups != conv.c_in or conv.groups != conv.c_out:
            return (replace(describe_convolution(conv, site, tail=tail), groups=1),)
        scale = _elementwise("per_channel", conv.c_out, site, (), () if conv.bias is not None else tail)
        return (scale, _elementwise("subtract", conv.c_out, site, (), tail)) if conv.bias is not None else (scale,)
    if conv.transposed or all(before == after for before, after in conv.padding):
        return (describe_convolution(conv, site, tail=tail),)
    pad = describe_leaf(Leaf("", constant_pad(conv.c_in, conv.padding), "pad"), conv.c_in, site)
    valid = replace(conv, padding=((0, 0),) * conv.rank)
    return (*pad, describe_convolution(valid, site.resized(pad[-1].out_size), tail=tail))


def describe_convolution(conv: Convolution, site: Site, kind: str = "", tail: Tail = ()) -> LinearOp:
    """A convolution, or an operator of another kind that has the geometry of one."""
    default = "conv_transposed" if conv.transposed else "conv" if conv.rank else "linear"
    return LinearOp(
        kind=kind or default,
        c_in=conv.c_in,
        c_out=conv.c_out,
        size=site.size,
        out_size=conv.out_size(site.size),
        kernel=conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=conv.groups,
        bias=conv.bias is not None,
        tail=tail,
        batch=site.batch,
        dtype=site.dtype,
    )


def describe_leaf(leaf: Leaf, channels: int, site: Site, tail: Tail = ()) -> tuple[LinearOp, ...]:
    """An operator of the original graph as it stands, fed with `channels`; nothing for what costs nothing."""
    if leaf.kind in FREE:
        return ()
    op = plain(leaf.operator)
    if op is None:
        out = getattr(leaf.operator, "size", site.size)
        return (LinearOp(leaf.kind, channels, channels, site.size, out, tail=tail, batch=site.batch, dtype=site.dtype),)
    if leaf.kind in ELEMENTWISE:
        return (_elementwise(leaf.kind, channels, site, site.size, tail),)
    if leaf.kind == "linear":
        return (_describe_layer(op, site, tail),)
    found = describe_convolution(to_convolution(op.outline()), site, "" if leaf.kind == "conv" else leaf.kind, tail)
    widened = channels * op.c_out // op.c_in, max(1, found.groups * channels // op.c_in)
    return (found if channels == op.c_in else replace(found, c_in=channels, c_out=widened[0], groups=widened[1]),)


def _describe_layer(op: Operator, site: Site, tail: Tail) -> LinearOp:
    """A linear layer on vectors, or on an image that is flattened first."""
    site, pixels = (flattened(site), prod(len(taps) for taps in op.offsets)) if op.rank else (site, 1)
    bias = op.bias is not None
    return LinearOp(
        "linear", op.c_in * pixels, op.c_out, site.size, site.size, bias=bias, tail=tail, batch=site.batch,
        dtype=site.dtype,
    )  # fmt: skip


def describe_join(kind: str, channels: int, branches: int, site: Site, tail: Tail = ()) -> tuple[LinearOp, ...]:
    """What joins branches: n - 1 additions, or one concat; nothing for a single branch."""
    if branches == 1:
        return ()
    if kind == "concat":
        return (_elementwise("concat", channels, site, site.size, tail),)
    adds = [_elementwise("add", channels, site, site.size) for _ in range(branches - 2)]
    return (*adds, _elementwise("add", channels, site, site.size, tail))


def _elementwise(kind: str, channels: int, site: Site, size: tuple[int, ...], tail: Tail = ()) -> LinearOp:
    return LinearOp(kind, channels, channels, size, size, tail=tail, batch=site.batch, dtype=site.dtype)
