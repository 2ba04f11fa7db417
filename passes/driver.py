"""Runs passes: walks, erases what died, keeps provenance and names, and reports."""

from collections.abc import Callable, Iterable

from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Decision, GraphPass, Pass, PassResult, Reject, Rewrite, RewritePass
from nascc.passes.edit import Edit
from nascc.passes.errors import PassError, PipelineError

MAX_SWEEPS = 100

After = Callable[[fx.GraphModule, Pass, PassResult], None]


def run_pass(p: Pass, gm: fx.GraphModule) -> PassResult:
    """Run one pass to its fixed point on `gm`, in place. Raises PassError when the graph comes out broken."""
    if isinstance(p, RewritePass):
        result = _run_rewrites(p, gm)
    elif isinstance(p, GraphPass):
        result = _run_graph_pass(p, gm)
    else:
        raise PipelineError(f"a pass must be a RewritePass or a GraphPass, found {type(p).__name__}")
    if result:
        tidy(gm)
        g.check_graph(gm)
    return result


def run_pipeline(passes: Iterable[Pass], gm: fx.GraphModule, after: After | None = None) -> tuple[PassResult, ...]:
    """Run passes in order; `after(gm, pass, result)` is called behind each, and may raise."""
    passes = tuple(passes)
    check_order(passes)
    results = []
    for p in passes:
        results.append(run_pass(p, gm))
        if after is not None:
            after(gm, p, results[-1])
    return tuple(results)


def check_order(passes: tuple[Pass, ...]) -> None:
    """Raise PipelineError, with all violations at once, where a pass stands before one it runs after."""
    wrong = [
        f"{late.name} must run after {early.name}"
        for k, late in enumerate(passes)
        for early in passes[k + 1 :]
        if type(early) in late.runs_after and not any(type(e) is type(early) for e in passes[:k])
    ]
    if wrong:
        raise PipelineError("; ".join(dict.fromkeys(wrong)))


def _run_rewrites(p: RewritePass[object], gm: fx.GraphModule) -> PassResult:
    rewrites: list[Rewrite] = []
    for _ in range(MAX_SWEEPS):
        done, rejects = _sweep(p, gm)
        rewrites += done
        if not done:
            return PassResult(p.name, tuple(rewrites), tuple(rejects))
    raise PassError(f"{p.name} must reach a fixed point, but it still rewrites after {MAX_SWEEPS} sweeps")


def _sweep(p: RewritePass[object], gm: fx.GraphModule) -> tuple[list[Rewrite], list[Reject]]:
    done, rejects = [], []
    for node in list(gm.graph.nodes):
        if node._erased or node.op != "call_function":
            continue
        found = p.match(node)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is not None:
            done.append(_rewrite(p, node, found))
    return done, rejects


def _rewrite(p: RewritePass[object], node: Node, found: object) -> Rewrite:
    edit = Edit(node)
    new = p.rewrite(edit, found)
    edit.replace(node, new)
    return Rewrite(new.name, g.sources(new))


def _run_graph_pass(p: GraphPass[object], gm: fx.GraphModule) -> PassResult:
    """Plan and apply until a plan changes nothing; the decisions told are the first plan's and of those that did."""
    rewrites: list[Rewrite] = []
    decisions: list[Decision] = []
    for _ in range(MAX_SWEEPS):
        plan = p.plan(gm)
        if plan is None or isinstance(plan, Reject):
            return PassResult(p.name, tuple(rewrites), () if plan is None else (plan,), tuple(decisions))
        rejects, told = p.rejects(plan), p.decisions(plan)
        done = p.apply(gm, plan)
        if done or not rewrites:
            decisions += told
        if not done:
            return PassResult(p.name, tuple(rewrites), rejects, tuple(decisions))
        rewrites += done
        tidy(gm)
    raise PassError(f"{p.name} must reach a fixed point, but it still rewrites after {MAX_SWEEPS} plans")


def tidy(gm: fx.GraphModule) -> None:
    """Erase what nothing uses, and give new constants the names of those that died."""
    for node in reversed(list(gm.graph.nodes)):
        if node.op in ("call_function", "get_attr") and not node.users:
            gm.graph.erase_node(node)
    for name in g.unused_constants(gm):
        g.delete_constant(gm, name)
    for node in gm.graph.find_nodes(op="get_attr"):
        _settle_name(gm, node)
    gm.recompile()


def _settle_name(gm: fx.GraphModule, node: Node) -> None:
    """`features.0.weight_1` -> `features.0.weight`, once that is free."""
    name = str(node.target)
    base, _, k = name.rpartition("_")
    if not k.isdigit() or not node.meta.get("is_new") or g.has_name(gm, base):
        return
    g.set_constant(gm, base, g.get_constant(gm, name))
    for twin in gm.graph.find_nodes(op="get_attr"):
        if twin.target == name:
            twin.target = base
    g.delete_constant(gm, name)
