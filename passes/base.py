"""What a pass is: a frozen dataclass that finds something to rewrite, and says why when it may not."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

from torch import fx
from torch.fx import Node

from nascc.passes.edit import Edit

T = TypeVar("T")


class Numerics(Enum):
    """What a pass promises about the numbers; tests take their tolerance from it."""

    BITWISE = "bitwise"
    ROUNDING = "rounding"
    LOSSY = "lossy"

    @property
    def rtol(self) -> float:
        """Largest legal relative error against the graph before, both in float64."""
        return {"bitwise": 0.0, "rounding": 1e-10, "lossy": 1e-2}[self.value]


@dataclass(frozen=True)
class Reject:
    """A place where a pass applies but is not legal, and why: this is shown to the user."""

    node: Node
    reason: str


@dataclass(frozen=True)
class Decision:
    """A choice a pass took between legal forms, with what it weighed."""

    module: str
    text: str


@dataclass(frozen=True)
class Rewrite:
    """One rewrite: what stands now, and the modules it stands for."""

    node: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class PassResult:
    """What one pass did to a graph; truthy when it changed anything."""

    name: str
    rewrites: tuple[Rewrite, ...] = ()
    rejects: tuple[Reject, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rewrites)


@dataclass(frozen=True)
class Pass:
    """Common ground of both kinds of pass: fields are options, class attributes say how it behaves."""

    numerics: ClassVar[Numerics] = Numerics.ROUNDING
    runs_after: ClassVar[tuple[type["Pass"], ...]] = ()

    @property
    def name(self) -> str:
        """The class name, as users write it in `--passes`."""
        return type(self).__name__

    def options(self) -> dict[str, Any]:
        """Options by name; what the compiler hands in is not among them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}


@dataclass(frozen=True)
class RewritePass(Pass, ABC, Generic[T]):
    """A local rewrite. The driver owns the walk, the fixed point, dead code, provenance and the report."""

    @abstractmethod
    def match(self, node: Node) -> T | Reject | None:
        """What was found at `node`; None: not here; Reject: here, but not legal."""

    @abstractmethod
    def rewrite(self, edit: Edit, found: T) -> Node:
        """The node that takes the place of the matched one."""


@dataclass(frozen=True)
class GraphPass(Pass, ABC, Generic[T]):
    """A rewrite that needs the whole graph: first a plan, which can be printed, then its application."""

    @abstractmethod
    def plan(self, gm: fx.GraphModule) -> T | Reject | None:
        """What would be done; pure. None when there is nothing to do."""

    @abstractmethod
    def apply(self, gm: fx.GraphModule, plan: T) -> tuple[Rewrite, ...]:
        """Do it, and say what was rewritten."""

    def rejects(self, plan: T) -> tuple[Reject, ...]:
        """Places the plan had to leave alone."""
        return ()

    def decisions(self, plan: T) -> tuple[Decision, ...]:
        """Choices the plan took."""
        return ()


def handed_in(**kwargs: Any) -> Any:
    """A field the compiler fills (a cost, trained modules): no option, outside comparison and flags."""
    return field(compare=False, repr=False, **kwargs)
