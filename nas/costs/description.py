"""Descriptions: what an operator becomes on a device, as kernels, and how it meets its neighbours."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nascc.runtime.descriptions import FIELDS
from nascc.runtime.kernels import Kernel


@dataclass(frozen=True)
class Border:
    """One end of an operator: whether passes and fusion reach across it.

    `linear`: a linear operator there may be collapsed with a linear neighbour. `fuses`: at the end, the last kernel
    would take over an elementwise operator; at the start, the first operators would go into the kernel before.
    `odd`: neither convolution nor elementwise, so anything may happen. `key` identifies what stands there.
    """

    linear: bool
    fuses: bool
    odd: bool
    key: str


@dataclass(frozen=True)
class Description:
    """Kernels of a piece of network, and its floating-point constants, counted.

    `identity`: nothing is left of it. `through`: its two ends are not independent, so that what stands on one side may
    act on the other side. Several operators together have no borders, but the names of what they are made of: `pieces`.
    """

    kernels: tuple[Kernel, ...]
    params: int
    identity: bool = False
    through: bool = False
    start: Border | None = None
    end: Border | None = None
    pieces: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads."""
        own = {"params": self.params, "identity": self.identity, "through": self.through, "pieces": self.pieces}
        rows = [[k.kind, *(int(getattr(k, field)) for field in FIELDS[1:])] for k in self.kernels]
        borders = {side: asdict(b) for side in ("start", "end") if (b := getattr(self, side)) is not None}
        return {"kernels": rows} | own | borders

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Description":
        """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        start, end = (Border(**found[side]) if side in found else None for side in ("start", "end"))
        kernels = tuple(_kernel(row) for row in found["kernels"])
        flags = bool(found["identity"]), bool(found["through"])
        return cls(kernels, int(found["params"]), *flags, start, end, tuple(map(str, found["pieces"])))


def _kernel(row: list[Any]) -> Kernel:
    fields = dict(zip(FIELDS, row, strict=True))
    return Kernel(name="", **fields | {"gated": bool(fields["gated"])})


def meet(before: Description, after: Description) -> bool:
    """May passes or fusion act across the border between two neighbours?"""
    end, start = before.end, after.start
    if end is None or start is None:
        return False
    return (end.linear and start.linear) or (end.fuses and start.fuses) or end.odd or start.odd


def meeting(before: Description, after: Description, names: tuple[str, str]) -> str:
    """What decides the outcome at an open border: what stands there, or an operator by name where its ends depend on
    each other; both by name where more than linear operators meet.
    """
    end, start = before.end, after.start
    assert end is not None and start is not None
    if not (end.linear and start.linear) or end.odd or start.odd or start.fuses:
        return " | ".join(names)
    return f"{names[0] if before.through else end.key} | {names[1] if after.through else start.key}"
