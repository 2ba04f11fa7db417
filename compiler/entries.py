"""What happened, as entries of the report."""

from torch import fx

from nascc.compiler.macs import count_macs
from nascc.compiler.report import Change, PassEntry, PassError64, Rejection
from nascc.passes import PassResult
from nascc.passes import graph as g


def sizes(gm: fx.GraphModule) -> dict[str, int]:
    """Operators, parameters and MACs of a graph at this moment."""
    calls = sum(n.op == "call_function" for n in gm.graph.nodes)
    return {"nodes": calls, "params": g.parameter_count(gm), "macs": count_macs(gm)}


def pass_entry(result: PassResult, before: dict[str, int], after: dict[str, int], error: float | None) -> PassEntry:
    """The entry of one pass: what it rewrote, what it left alone and why, and what that did to the graph."""
    changes = {k: Change(before=before[k], after=after[k]) for k in before}
    return PassEntry(
        name=result.name,
        rewrites=tuple(" + ".join(r.sources) or r.node for r in result.rewrites),
        rejects=tuple(
            Rejection(node=r.node.name, module=g.module_path(r.node), reason=r.reason) for r in result.rejects
        ),
        decisions=tuple(f"{d.module}: {d.text}" for d in result.decisions),
        error=None if error is None else PassError64(fp64_rel=error),
        **changes,
    )
