"""What to do with a region: which parts become one operator, which stay, what that costs and why."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.forms import Form, Step, build
from nascc.passes.linear.fuse import Fuser
from nascc.passes.linear.operator import Refusal
from nascc.passes.linear.region import Chain, Expr, Region, Site, leaves


class Mode(Enum):
    """Who decides."""

    ALWAYS = "always"
    """As few operators as legal, whatever they cost."""
    NEVER = "never"
    """Everything stays."""
    AUTO = "auto"
    """The cost; of equal costs the fewer operators."""


@dataclass(frozen=True, eq=False)
class Segment:
    """One part of a plan: a leaf that stays as it is (`form` None), or an expression that takes another form."""

    part: Expr
    site: Site
    form: Form | None
    before: tuple[LinearOp, ...]
    after: tuple[LinearOp, ...]
    cost_before: float
    cost_after: float

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the original operators it stands for."""
        return tuple(leaf.name for leaf in leaves(self.part))

    @property
    def fix(self) -> str:
        """What is done at the border; empty for what stays."""
        return "" if self.form is None else self.form.fix

    def __str__(self) -> str:
        head = "kept" if self.form is None else f"{self.form.shape.value}, {self.form.fix}"
        costs = f"{self.cost_before:.4g}" if self.form is None else f"{self.cost_before:.4g} -> {self.cost_after:.4g}"
        return f"{head:24} {costs:26} {' + '.join(self.members)}"


@dataclass(frozen=True, eq=False)
class Row:
    """Planned parts one after the other; `why[k]` says why part k + 1 does not join part k."""

    parts: tuple["Planned", ...]
    why: tuple[Refusal, ...] = ()


@dataclass(frozen=True, eq=False)
class Join:
    """Planned branches of one input, summed or concatenated (`kind`); `why` says why they are not one."""

    kind: str
    parts: tuple["Planned", ...]
    why: Refusal | None = None


Planned: TypeAlias = Segment | Row | Join


@dataclass(frozen=True, eq=False)
class Plan:
    """The cheapest legal way to compute a region. Printable; `steps` gives the tensors of a segment."""

    region: Region
    mode: Mode
    root: Planned
    cost_before: float
    cost_after: float

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment, in order."""
        return _segments(self.root)

    @property
    def changes(self) -> bool:
        """Is anything collapsed at all?"""
        return any(s.form is not None for s in self.segments)

    def __str__(self) -> str:
        size = "x".join(map(str, self.region.site.size)) or "vector"
        head = f"{self.mode.value}, {size}: cost {self.cost_before:.4g} -> {self.cost_after:.4g}"
        return "\n".join([head, *_lines(self.root, "  ")])


def _lines(node: Planned, indent: str) -> list[str]:
    if isinstance(node, Segment):
        return [indent + str(node)]
    if isinstance(node, Join):
        title = f"{indent}{node.kind} of" + (f"  [not one: {node.why.reason}]" if node.why else "")
        return [title, *(line for part in node.parts for line in _lines(part, indent + "  "))]
    lines = _lines(node.parts[0], indent)
    for part, why in zip(node.parts[1:], node.why or (None,) * len(node.parts), strict=False):
        lines += ([f"{indent}  [apart: {why.reason}]"] if why else []) + _lines(part, indent)
    return lines


def _segments(node: Planned) -> tuple[Segment, ...]:
    return (node,) if isinstance(node, Segment) else tuple(s for part in node.parts for s in _segments(part))


def row_of(part: Expr) -> tuple[Expr, ...]:
    """The parts of a chain; any other expression is a row of its own."""
    return part.parts if isinstance(part, Chain) else (part,)


def steps(segment: Segment) -> tuple[Step, ...] | Refusal:
    """The operators of a collapsed segment, with their tensors, in the order they run.

    A refusal means that the values made inexact what the shapes allowed: then the segment's part must stay.
    """
    assert segment.form is not None, "a kept segment has no operators of its own"
    return build(Fuser(), row_of(segment.part), segment.site, segment.form)
