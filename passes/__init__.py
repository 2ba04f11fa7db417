"""Graph passes over functional ATen: what nascc rewrites, and nothing about files or devices."""

from nascc.passes.base import Decision, GraphPass, Numerics, Pass, PassResult, Reject, Rewrite, RewritePass
from nascc.passes.canonical.exported import from_exported
from nascc.passes.canonical.promote import demote
from nascc.passes.collapse_linear import CollapseLinear
from nascc.passes.driver import run_pass, run_pipeline
from nascc.passes.edit import Edit
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.errors import CanNotRead, PassError, PipelineError
from nascc.passes.evaluate_constants import EvaluateConstants
from nascc.passes.extract_superkernel import ExtractSuperkernel
from nascc.passes.fold_batch_norm import FoldBatchNorm
from nascc.passes.graph import check_graph
from nascc.passes.merge_branches import MergeBranches
from nascc.passes.merge_duplicates import MergeDuplicates
from nascc.passes.pipeline import default_pipeline, parse_pipeline, without
from nascc.passes.prune_channel_bypass import PruneChannelBypass
from nascc.passes.replace_regions import Region, ReplaceRegions
from nascc.passes.signature import Signature
from nascc.passes.substitute_operators import SubstituteOperators

PASSES: tuple[type[Pass], ...] = (
    ReplaceRegions,
    EvaluateConstants,
    EliminateIdentities,
    MergeDuplicates,
    PruneChannelBypass,
    ExtractSuperkernel,
    FoldBatchNorm,
    MergeBranches,
    CollapseLinear,
    SubstituteOperators,
)
"""Every pass a pipeline may name. The default pipeline is their topological order by `runs_after`."""

__all__ = [
    "PASSES",
    "CanNotRead",
    "CollapseLinear",
    "Decision",
    "Edit",
    "EliminateIdentities",
    "EvaluateConstants",
    "ExtractSuperkernel",
    "FoldBatchNorm",
    "GraphPass",
    "MergeBranches",
    "MergeDuplicates",
    "Numerics",
    "Pass",
    "PassError",
    "PassResult",
    "PipelineError",
    "PruneChannelBypass",
    "Region",
    "Reject",
    "ReplaceRegions",
    "Rewrite",
    "RewritePass",
    "Signature",
    "SubstituteOperators",
    "check_graph",
    "default_pipeline",
    "demote",
    "from_exported",
    "parse_pipeline",
    "run_pass",
    "run_pipeline",
    "without",
]
