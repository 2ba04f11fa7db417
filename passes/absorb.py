"""Where an affine map can disappear into weights: layers above that produce a value, or below that read it."""

from dataclasses import dataclass

from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.affine import Affine
from nascc.passes.commute import above, aten, below, split_concat
from nascc.passes.views import BatchNorm, Conv, Linear


@dataclass(frozen=True)
class Leaf:
    """A layer that takes the map into its weights: on its outputs (above the map) or on its inputs (below it)."""

    layer: Conv | Linear | BatchNorm
    affine: Affine
    on_outputs: bool


@dataclass(frozen=True)
class Blocked:
    """Why the map can not be absorbed; `near` when a layer that could take it was reached."""

    reason: str
    near: bool = True


Found = tuple[Leaf, ...] | Blocked


def absorb_above(value: Node, affine: Affine) -> Found:
    """The layers that produce `value` and can apply `affine` to what they write."""
    layer = Conv.of(value) or Linear.of(value) or _inference(value)
    if (users := len(value.users)) > 1:
        return Blocked(f"output of '{g.label(value)}' has {users} users, must have 1", near=layer is not None)
    if layer is not None:
        axis = len(g.shape(value)) - 1 if isinstance(layer, Linear) else 1
        along = affine.along(axis, int(g.shape(value)[axis]))
        return Blocked(f"runs along another axis than the channels of '{layer_name(layer)}'") if along is None else (
            Leaf(layer, along, on_outputs=True),
        )  # fmt: skip
    if g.is_call(value, aten.cat.default):
        parts = split_concat(value, affine)
        return Blocked(parts) if isinstance(parts, str) else _together([absorb_above(x, a) for x, a in parts])
    return _onwards(above(value, affine), value, lambda side: absorb_above(value.args[0], side))  # type: ignore[arg-type]


def absorb_below(value: Node, affine: Affine) -> Found:
    """The layers that read `value` and can apply `affine` to what they read."""
    if not value.users:
        return Blocked("nothing reads it", near=False)
    return _together([_absorb_in(user, value, affine) for user in value.users])


def _absorb_in(user: Node, value: Node, affine: Affine) -> Found:
    if user.op == "output":
        return Blocked("is an output of the model", near=False)
    layer = Conv.of(user) or Linear.of(user)
    if layer is not None and layer.input is value:
        return _reader(layer, affine)
    if user.args[0] is not value or user.all_input_nodes.count(value) != 1:
        return Blocked(f"feeds '{g.label(user)}', no convolution or linear layer", near=False)
    return _onwards(below(user, affine), user, lambda side: absorb_below(user, side))


def _reader(layer: Conv | Linear, affine: Affine) -> Found:
    rank = len(g.shape(layer.input))
    axis = rank - 1 if isinstance(layer, Linear) else 1
    along = affine.along(axis, int(g.shape(layer.input)[axis]))
    if along is None:
        return Blocked(f"runs along another axis than the channels that '{layer.name}' reads")
    if isinstance(layer, Conv) and affine.has_shift and layer.transposed:
        return Blocked(f"shifts what the transposed convolution '{layer.name}' reads: not exact at the border")
    if isinstance(layer, Conv) and affine.has_shift and layer.is_padded:
        return Blocked(f"feeds a padded convolution '{layer.name}': not exact at the border")
    return (Leaf(layer, along, on_outputs=False),)


def _onwards(side: Affine | str | None, node: Node, go: object) -> Found:
    if side is None:
        return Blocked(f"meets '{g.label(node)}' ({_operator(node)}), which does not commute with it", near=False)
    return Blocked(side, near=False) if isinstance(side, str) else go(side)  # type: ignore[operator]


def _operator(node: Node) -> str:
    if node.op == "placeholder":
        return "an input"
    return str(node.target).split(".")[1] if "aten." in str(node.target) else node.name


def _together(found: list[Found]) -> Found:
    for one in found:
        if isinstance(one, Blocked):
            return one
    leaves = tuple(leaf for one in found if not isinstance(one, Blocked) for leaf in one)
    nodes = [leaf.layer.node for leaf in leaves]
    return leaves if len(set(nodes)) == len(nodes) else Blocked("reaches one layer by two ways")


def _inference(value: Node) -> BatchNorm | None:
    bn = BatchNorm.of(value)
    return bn if bn is not None and not bn.uses_batch_statistics and bn.has_constant_parameters else None


def layer_name(layer: Conv | Linear | BatchNorm) -> str:
    """Module path of a layer, for messages."""
    return g.label(layer.node)
