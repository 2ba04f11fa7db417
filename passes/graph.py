"""Questions about a graph in nascc's IR, its constants, and the verifier that every pass must leave content."""

import copy
import operator
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx import Node
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.utils import _pytree as pytree

from nascc.passes.errors import PassError
from nascc.passes.signature import Signature

aten = torch.ops.aten


def is_call(node: object, *targets: object) -> bool:
    """Is `node` a call of one of `targets` (of anything, when none is given)?"""
    return isinstance(node, Node) and node.op == "call_function" and (not targets or node.target in targets)


def is_constant(node: object) -> bool:
    """Is `node` a parameter or constant held by the module?"""
    return isinstance(node, Node) and node.op == "get_attr"


def owner(node: Node) -> fx.GraphModule:
    """The graph module that holds the constants of this node's graph."""
    module = node.graph.owning_module
    if module is None:
        raise PassError(f"graph of '{node.name}' must belong to a module, found none")
    return module


def constant(node: Node) -> Tensor:
    """The value of a `get_attr` node."""
    return get_constant(owner(node), str(node.target))


def get_constant(gm: fx.GraphModule, name: str) -> Tensor:
    """The constant under a dotted name. Raises PassError when nothing, or no tensor, stands there."""
    value: Any = gm
    for part in name.split("."):
        value = getattr(value, part, None)
    if not isinstance(value, Tensor):
        raise PassError(f"'{name}' must name a tensor of the module, found {type(value).__name__}")
    return value


def has_name(gm: fx.GraphModule, name: str) -> bool:
    """Is anything registered under this dotted name?"""
    value: Any = gm
    for part in name.split("."):
        if (value := getattr(value, part, None)) is None:
            return False
    return True


def set_constant(gm: fx.GraphModule, name: str, value: Tensor) -> None:
    """Register a constant under a dotted name, making the modules on its path."""
    *path, leaf = name.split(".")
    module: torch.nn.Module = gm
    for part in path:
        if part not in module._modules:
            module.add_module(part, torch.nn.Module())
        module = cast(torch.nn.Module, module._modules[part])
    module._buffers[leaf] = value
    module._non_persistent_buffers_set.discard(leaf)


def delete_constant(gm: fx.GraphModule, name: str) -> None:
    """Forget a constant; modules that became empty go with it."""
    *path, leaf = name.split(".")
    chain: list[torch.nn.Module] = [gm]
    for part in path:
        chain.append(cast(torch.nn.Module, chain[-1]._modules[part]))
    chain[-1]._buffers.pop(leaf, None)
    for parent, part, child in zip(reversed(chain[:-1]), reversed(path), reversed(chain[1:]), strict=True):
        if child._buffers or child._modules or child._parameters:
            break
        del parent._modules[part]


def constants(gm: fx.GraphModule) -> Iterator[tuple[str, Tensor]]:
    """Every constant the graph uses, by name, each once."""
    for name in dict.fromkeys(str(n.target) for n in gm.graph.nodes if n.op == "get_attr"):
        yield name, get_constant(gm, name)


def unused_constants(gm: fx.GraphModule) -> list[str]:
    """Names of constants that no node of the graph reads."""
    used = {str(n.target) for n in gm.graph.nodes if n.op == "get_attr"}
    return [name for name, _ in gm.named_buffers(remove_duplicate=False) if name not in used]


def parameter_count(gm: fx.GraphModule) -> int:
    """Number of floating-point values the graph holds."""
    return sum(value.numel() for _, value in constants(gm) if value.is_floating_point())


def free_name(gm: fx.GraphModule, wanted: str) -> str:
    """`wanted`, or `wanted_1`, `wanted_2` ... whichever is not taken."""
    wanted = re.sub(r"[^\w.]", "_", wanted)
    name, k = wanted, 0
    while has_name(gm, name):
        k += 1
        name = f"{wanted}_{k}"
    return name


def value(node: Node) -> Any:
    """The fake value of a node, in compute dtype: a tensor, a tuple of tensors, or a symbolic number."""
    return node.meta["val"]


def shape(node: Node) -> tuple[int | torch.SymInt, ...]:
    """Shape of a tensor-valued node; sizes may be symbolic."""
    return tuple(node.meta["val"].shape)


def static_shape(node: Node) -> tuple[int, ...] | None:
    """Shape of a node when every size is a plain number, else None."""
    sizes = shape(node)
    return cast("tuple[int, ...]", sizes) if all(isinstance(s, int) for s in sizes) else None


def same(a: int | torch.SymInt, b: int | torch.SymInt) -> bool:
    """Are two sizes provably equal? Adds no guard."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return statically_known_true(a == b)


def dtype(node: Node) -> torch.dtype | None:
    """Recorded dtype: what the deployed graph has for this value."""
    return cast("torch.dtype | None", node.meta.get("dtype"))


def is_floating(node: object) -> bool:
    """Is the node one floating-point tensor?"""
    return isinstance(node, Node) and isinstance(v := node.meta.get("val"), Tensor) and v.is_floating_point()


def module_path(node: Node) -> str:
    """Dotted path of the module that a node comes from; empty for the root."""
    return cast(str, node.meta.get("module", ""))


def sources(node: Node) -> tuple[str, ...]:
    """Paths of all modules that a node stands for."""
    return cast("tuple[str, ...]", node.meta.get("sources", ()))


def label(node: Node) -> str:
    """What a user is told instead of a node's name: its module path where it has one."""
    path = module_path(node)
    return path if path else node.name


def signature(gm: fx.GraphModule) -> Signature:
    """The user's calling convention of a captured graph."""
    return cast(Signature, gm.meta["signature"])


def infer(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Fake value of a call, from the fake values of the nodes among its arguments."""
    fake = fx.node.map_arg((args, kwargs), value)
    with _open_sizes_kept(fake):
        if target is aten.constant_pad_nd.default:
            return _padded(*fake[0][:2])
        return target(*fake[0], **fake[1])


def _padded(x: Tensor, sides: list[int]) -> Tensor:
    """What torch's own inference would say, which fixes open sizes to the example's."""
    pairs = list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    ends = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    return x.new_empty([size + before + after for size, (before, after) in zip(x.shape, ends, strict=True)])


def _open_sizes_kept(values: Any) -> AbstractContextManager[None]:
    """Keeps torch, which asks questions about sizes while it infers, from fixing an open size to the example's."""
    modes = (v.fake_mode for v in pytree.tree_leaves(values) if isinstance(v, FakeTensor))
    env = next((mode.shape_env for mode in modes if mode.shape_env is not None), None)
    return nullcontext() if env is None else env.suppress_guards()


def erase_dead(node: Node) -> list[Node]:
    """Erase `node` and whatever fed only it, placeholders excepted; returns what was erased."""
    erased, stack = [], [node]
    while stack:
        dead = stack.pop()
        if dead.users or dead.op in ("placeholder", "output") or dead._erased:
            continue
        inputs = list(dead.all_input_nodes)
        dead.graph.erase_node(dead)
        erased.append(dead)
        stack.extend(inputs)
    return erased


def copy_graph(gm: fx.GraphModule) -> fx.GraphModule:
    """An independent copy of the graph; constants are shared, since nothing edits them in place."""
    graph = fx.Graph()
    made: dict[Node, Node] = {}
    for node in gm.graph.nodes:
        made[node] = graph.node_copy(node, made.__getitem__)
        made[node].meta = dict(node.meta)
    root = torch.nn.Module()
    twin = fx.GraphModule(root, fx.Graph())
    for name, tensor in constants(gm):
        set_constant(twin, name, tensor)
    twin.graph = graph
    twin.meta = copy.copy(gm.meta)
    return twin


def check_graph(gm: fx.GraphModule) -> None:
    """Raise PassError unless the graph is well formed: lint, ownership, targets, shapes and dtypes."""
    problems = [*_ownership(gm), *(p for node in gm.graph.nodes for p in _problems(gm, node))]
    if problems:
        raise PassError("graph must be well formed, but " + "; ".join(problems[:8]))
    gm.graph.lint()


def _ownership(gm: fx.GraphModule) -> Iterator[str]:
    if gm.graph.owning_module is not gm:
        yield "its graph belongs to another module"
    if "signature" not in gm.meta:
        yield "it carries no signature"


def _problems(gm: fx.GraphModule, node: Node) -> Iterator[str]:
    if node.op == "output":
        if not isinstance(node.args[0], tuple) or not all(isinstance(a, Node) for a in node.args[0]):
            yield "the output must be a flat tuple of values"
        return
    if node.op not in ("placeholder", "get_attr", "call_function"):
        yield f"'{node.name}' is a {node.op}, which the IR does not have"
    if node.op == "get_attr" and not has_name(gm, str(node.target)):
        yield f"'{node.name}' names the constant '{node.target}', which does not exist"
    if node.op == "call_function" and not isinstance(node.target, OpOverload) and not _is_python(node.target):
        yield f"'{node.name}' calls {node.target}, which is no ATen operator"
    if "val" not in node.meta or "dtype" not in node.meta:
        yield f"'{node.name}' has no recorded shape or dtype"


def _is_python(target: object) -> bool:
    return getattr(target, "__module__", "") in ("_operator", "math", "torch") or target is operator.getitem
