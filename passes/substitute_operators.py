"""Replace operators that a target lacks by operators that it has."""

from dataclasses import dataclass

from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics, Reject, RewritePass
from nascc.passes.edit import Edit
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.errors import PipelineError
from nascc.passes.evaluate_constants import EvaluateConstants
from nascc.passes.fold_batch_norm import FoldBatchNorm
from nascc.passes.merge_duplicates import MergeDuplicates
from nascc.passes.substitute import RULES, near_matches
from nascc.passes.substitute.precision import cast_to
from nascc.passes.substitute.rule import Rule


@dataclass(frozen=True)
class Substitution:
    """A call and the rule that replaces it."""

    node: Node
    rule: Rule


@dataclass(frozen=True)
class SubstituteOperators(RewritePass[Substitution]):
    """op(x) -> the same in other operators, for each rule named in `rules`; without names nothing is replaced.

    Equal up to float rounding, or bit for bit: each rule of `nascc.passes.substitute.RULES` says which.
    """

    rules: tuple[str, ...] = ()

    numerics = Numerics.ROUNDING
    runs_after = (EvaluateConstants, EliminateIdentities, MergeDuplicates, FoldBatchNorm)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.rules if name not in RULES]:
            raise PipelineError("; ".join(f"there is no substitution rule '{n}'; {near_matches(n)}" for n in unknown))

    def match(self, node: Node) -> Substitution | Reject | None:
        for name in self.rules:
            if RULES[name].is_for(node):
                reason = RULES[name].refusal(node)
                return Substitution(node, RULES[name]) if reason is None else Reject(node, reason)
        return None

    def rewrite(self, edit: Edit, found: Substitution) -> Node:
        new = cast_to(edit, found.rule.build(edit, found.node), g.dtype(found.node))
        new.meta["val"] = found.node.meta["val"]
        return new
