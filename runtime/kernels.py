"""The only fusion rules: which operators of a network a deployed runtime runs as one kernel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nascc.runtime.operators import CONVOLUTIONS, FREE, MULTIPLIERS, Network, Operator

BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of one number in each precision."""


@dataclass(frozen=True)
class Kernel:
    """One launch on the device. `read`, `written` and `weights` count numbers; `operators` names what runs in it.

    `reduction` is the number of products summed into one output; `count` says how often the kernel occurs. Convolutions
    have channels; a gated kernel takes along an activation like silu, which multiplies a value by a function of it.
    """

    name: str
    kind: str
    macs: int
    read: int
    written: int
    weights: int
    reduction: int
    operators: tuple[str, ...] = ()
    count: int = 1
    channels_in: int = 0
    channels_out: int = 0
    gated: bool = False

    @property
    def flops(self) -> int:
        """Floating point operations, two a multiply-accumulate."""
        return 2 * self.macs

    def bytes(self, precision: str = "fp16") -> int:
        """Bytes moved, every number once."""
        return BYTES[precision] * (self.read + self.written + self.weights)


def fuse(network: Network) -> tuple[Kernel, ...]:
    """The kernels of a network, in the order of their last operators.

    conv, gemm or matmul -> elementwise* -> one kernel, and elementwise -> elementwise* -> one kernel, where every
    user of an inner value is in the kernel and all outputs have the same number of elements. So a convolution takes
    its bias, its activation however it is spelled, and the addition of a residual. Views cost nothing, nor do a pad
    that only convolutions and poolings read, and a transpose or a scalar factor that only matrix products read.
    Operators that no output depends on are dropped.
    """
    operators, outputs = _live(network)
    operators, outputs = _without_free(operators, outputs)
    roots = _roots(operators, outputs)
    groups: dict[int, list[int]] = {}
    for index, root in enumerate(roots):
        groups.setdefault(root, []).append(index)
    sizes = network.inputs | {op.output: op.elements for op in operators}
    return tuple(_kernel([operators[i] for i in groups[root]], sizes) for root in sorted(groups))


def _live(network: Network) -> tuple[list[Operator], set[str]]:
    needed, kept = set(network.outputs), []
    for op in reversed(network.operators):
        if op.output in needed:
            kept.append(op)
            needed.update(op.inputs)
    return kept[::-1], set(network.outputs)


def _users(operators: Sequence[Operator]) -> dict[str, list[int]]:
    users: dict[str, list[int]] = {}
    for index, op in enumerate(operators):
        for value in dict.fromkeys(op.inputs):
            users.setdefault(value, []).append(index)
    return users


def _without_free(operators: list[Operator], outputs: set[str]) -> tuple[list[Operator], set[str]]:
    """Drop what costs nothing; its users read its input instead. Users are judged behind their views."""
    readers: dict[str, set[str]] = {}
    free: set[str] = set()
    for op in reversed(operators):
        kinds = readers.get(op.output, set())
        if op.inputs and op.output not in outputs and _is_free(op, kinds):
            free.add(op.output)
        seen = kinds if op.output in free else {op.kind}
        for value in op.inputs:
            readers.setdefault(value, set()).update(seen)
    same: dict[str, str] = {}
    kept = []
    for op in operators:
        resolved = replace(op, inputs=tuple(same.get(v, v) for v in op.inputs))
        if op.output in free or (op.kind == "view" and op.inputs):
            same[op.output] = resolved.inputs[0]
        else:
            kept.append(resolved)
    return kept, {same.get(v, v) for v in outputs}


def _is_free(op: Operator, readers: set[str]) -> bool:
    if op.kind == "view":
        return True
    if op.kind == "pad":
        return bool(readers) and readers <= {*CONVOLUTIONS, "pool"}
    is_scalar = op.kind == "elementwise" and len(op.inputs) == 1 and op.weights <= 1
    return (op.kind == "transpose" or is_scalar) and bool(readers) and readers <= {"matmul"}


def _roots(operators: Sequence[Operator], outputs: set[str]) -> list[int]:
    """For each operator the index of the last operator of its kernel."""
    users = _users(operators)
    roots = list(range(len(operators)))
    headed: set[int] = set()
    for index in reversed(range(len(operators))):
        op = operators[index]
        readers = users.get(op.output, [])
        found = {roots[u] for u in readers}
        is_head = op.kind in MULTIPLIERS
        if op.output in outputs or len(found) != 1 or not (is_head or op.kind == "elementwise"):
            if is_head:
                headed.add(index)
            continue
        root = found.pop()
        fits = all(operators[u].kind == "elementwise" for u in readers) and operators[root].elements == op.elements
        if fits and not (is_head and root in headed):
            roots[index] = root
        if is_head:
            headed.add(roots[index])
    return roots


def _kernel(members: Sequence[Operator], sizes: dict[str, int]) -> Kernel:
    head = next((op for op in members if op.kind in MULTIPLIERS), members[0])
    made = {op.output for op in members}
    read = dict.fromkeys(v for op in members for v in op.inputs if v not in made)
    kind = "move" if head.kind in (*FREE, "transpose") else head.kind
    moved = members[-1].elements
    partial = kind == "slice"
    return Kernel(
        name=head.name,
        kind=kind,
        macs=head.macs,
        read=moved if partial else sum(sizes[v] for v in read),
        written=moved,
        weights=sum(op.weights for op in members),
        reduction=head.reduction,
        operators=tuple(op.name for op in members),
        channels_in=head.channels[0],
        channels_out=head.channels[1],
        gated=head.kind in MULTIPLIERS and _is_gated(members),
    )


def _is_gated(members: Sequence[Operator]) -> bool:
    """Is a value multiplied by a function of itself, in one operator or in several?"""
    reads = [value for op in members for value in dict.fromkeys(op.inputs)]
    return any(op.gated or reads.count(op.output) > 1 for op in members)


def condense(kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
    """Equal kernels as one with a count; names are dropped. The estimate stays the same."""
    counts: dict[Kernel, int] = {}
    for kernel in kernels:
        bare = replace(kernel, name="", operators=(), count=1)
        counts[bare] = counts.get(bare, 0) + kernel.count
    return tuple(replace(kernel, count=count) for kernel, count in counts.items())
