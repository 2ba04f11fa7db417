"""Descriptions of what a plan would deploy, for cost functions."""

from nascc.passes.linear.convolution import Convolution, to_convolution
from nascc.passes.linear.deploy import BORDER_MAP, BORDER_TILE, ONES_CHANNEL, PAD_VALUE, Deployed
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.region import Leaf, Site, plain

Tail = tuple[str, ...]


def describe_deployed(deployed: Deployed, site: Site, tail: Tail = ()) -> tuple[LinearOp, ...]:
    """The operators of a convolution and its fix, in the order they run."""
    conv, fix = deployed.conv, deployed.fix
    after = fix in (BORDER_MAP, BORDER_TILE)
    ops = [describe_convolution(conv, site, tail=("add", *tail) if after else tail)]
    if fix == PAD_VALUE:
        ops.insert(0, _elementwise("subtract", conv.c_in, site, site.size))
    if fix == ONES_CHANNEL:
        ops.insert(
            0, LinearOp("cat_ones", conv.c_in - 1, conv.c_in, site.size, site.size, batch=site.batch, dtype=site.dtype)
        )
    if after:
        kind = "add_map" if fix == BORDER_MAP else "add_tile"
        ops.append(_elementwise(kind, conv.c_out, site, conv.out_size(site.size), tail))
    return tuple(ops)


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
    """An operator of the original graph as it stands, fed with `channels`; nothing for an identity."""
    if leaf.kind == "identity":
        return ()
    op = plain(leaf.operator)
    if op is None:
        out = getattr(leaf.operator, "size", site.size)
        return (LinearOp(leaf.kind, channels, channels, site.size, out, tail=tail, batch=site.batch, dtype=site.dtype),)
    if channels != op.c_in:
        out = tuple(n or 0 for n in op.out_size(site.size))
        return (
            LinearOp(
                leaf.kind,
                channels,
                channels * op.c_out // op.c_in,
                site.size,
                out,
                tail=tail,
                batch=site.batch,
                dtype=site.dtype,
            ),
        )
    conv = to_convolution(op.outline())
    kind = "" if leaf.kind == "conv" else leaf.kind
    return (describe_convolution(conv, site, kind, tail),)


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
