"""Names of nodes and values: unique, readable, the same on every run."""

import re
from collections.abc import Iterable

import torch

from nascc.compiler.lowering.values import Value

SHORT = {torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16", torch.int64: "i64"}
SHORT |= {torch.int32: "i32", torch.uint8: "u8", torch.int8: "i8", torch.int16: "i16", torch.bool: "bool"}
LONGEST_LITERAL = 6


class Names:
    """Gives out names; a name that is taken gets a number."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        """The name itself, or with the first free `_k`."""
        name, k = wanted, self._next.get(wanted, 1)
        while name in self._taken:
            name, k = f"{wanted}_{k}", k + 1
        self._next[wanted] = k
        self._taken.add(name)
        return name


def node_name(kind: str, module: str) -> str:
    """`module.path/operator`, in snake case."""
    kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    return f"{module}/{kind}" if module else kind


def literal_name(value: Value) -> str:
    """A parameter's own name, or type and content of a literal."""
    if value.name or value.tensor is None:
        return value.name
    content = value.tensor.reshape(-1)
    text = (
        "_".join(_number(v) for v in content.tolist())
        if content.numel() <= LONGEST_LITERAL
        else "x".join(map(str, value.shape))
    )
    return f"literal/{SHORT[value.dtype]}{'' if value.rank == 0 else f'[{len(content)}]'}_{text}".rstrip("_")


def _number(value: float | int | bool) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
