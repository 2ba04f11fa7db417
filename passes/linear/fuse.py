"""An expression of a region as one operator: its algebra folded up, each sub-expression once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nascc.passes.linear.add import add
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.concatenate import concatenate
from nascc.passes.linear.operator import Foreign, Operator, Refusal, Sizes
from nascc.passes.linear.region import Chain, Expr, Leaf, Sum, identity_of, plain

Key = tuple[tuple[object, ...], Sizes, Repair]


@dataclass(frozen=True)
class Fuser:
    """Folds expressions up; with `outlines` without the values of their kernels, which takes no arithmetic.

    Results are kept by the identity of the leaves, so these must outlive the fuser.
    """

    outlines: bool = False
    known: dict[Key, Operator | Refusal] = field(default_factory=dict, repr=False, compare=False)
    leaves: dict[int, Operator] = field(default_factory=dict, repr=False, compare=False)

    def fuse(self, part: Expr, size: Sizes, repair: Repair) -> Operator | Refusal:
        """The expression as one operator for inputs of `size`, or why there is none."""
        if isinstance(part, Leaf):
            return self._leaf(part)
        if isinstance(part, Chain):
            return self.fuse_row(part.parts, size, repair)
        key = (identity_of(part), size, repair)
        if key not in self.known:
            self.known[key] = self._parallel(part, size, repair)
        return self.known[key]

    def fuse_row(self, parts: Sequence[Expr], size: Sizes, repair: Repair) -> Operator | Refusal:
        """Parts one after the other as one operator; every beginning of the row is kept for longer ones."""
        if len(parts) == 1:
            return self.fuse(parts[0], size, repair)
        key = (tuple(map(identity_of, parts)), size, repair)
        if key not in self.known:
            self.known[key] = self._append(self.fuse_row(parts[:-1], size, repair), parts[-1], size, repair)
        return self.known[key]

    def _append(self, first: Operator | Refusal, last: Expr, size: Sizes, repair: Repair) -> Operator | Refusal:
        if isinstance(first, Refusal):
            return first
        second = self.fuse(last, first.out_size(size), repair)
        return second if isinstance(second, Refusal) else compose(second, first, size, repair)

    def _parallel(self, part: Expr, size: Sizes, repair: Repair) -> Operator | Refusal:
        assert not isinstance(part, Leaf)
        branches = []
        for branch in part.parts:
            fused = self.fuse(branch, size, repair)
            if isinstance(fused, Refusal):
                return fused
            branches.append(fused)
        return (add if isinstance(part, Sum) else concatenate)(branches, size, repair)

    def _leaf(self, leaf: Leaf) -> Operator | Refusal:
        op = plain(leaf.operator)
        if op is None:
            return Foreign(
                f"'{leaf.name}' is a mean whose weights change at the border or with the size: no convolution"
            )
        if not self.outlines:
            return op
        if id(leaf) not in self.leaves:
            self.leaves[id(leaf)] = op.outline()
        return self.leaves[id(leaf)]
