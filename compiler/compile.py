"""The front door: `compile()` takes a trained network and gives back a smaller, proven, deployable one."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from onnx import ModelProto
from torch import fx, nn
from torch.export import ExportedProgram

from nascc.compiler.capture import Captured, capture
from nascc.compiler.collapse_costs import collapse_cost as load_collapse_cost
from nascc.compiler.deploy import Deployed, deploy
from nascc.compiler.entries import pass_entry, sizes
from nascc.compiler.errors import NotEquivalent, UsageError
from nascc.compiler.estimates import estimated_latency
from nascc.compiler.provenance import new_report
from nascc.compiler.reference import Reference
from nascc.compiler.report import PassEntry, Report, TargetEntry
from nascc.compiler.save import save
from nascc.compiler.shapes import InputSpec, parse_shapes
from nascc.compiler.verification import Verification
from nascc.compiler.verify import verify_module, verify_onnx, verify_pass
from nascc.passes import (
    PASSES,
    CollapseLinear,
    MergeBranches,
    Pass,
    PassResult,
    SubstituteOperators,
    default_pipeline,
    demote,
    parse_pipeline,
    run_pipeline,
    without,
)
from nascc.passes import graph as g
from nascc.passes.linear.cost import Cost
from nascc.runtime.profile import OPSETS, Target, ir_version_of, load_target
from nascc.runtime.runners.base import Array

Say = Callable[[str], None]
LINEAR = (MergeBranches, CollapseLinear)


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled network.

    `graph` is the rewritten graph in float64, `deployed` the ONNX form of it (None where none was asked for),
    `report` the whole story as `nascc.report/1`, `seconds` what each step took.
    """

    graph: fx.GraphModule
    captured: Captured
    deployed: Deployed | None
    verification: Verification | None
    report: Report
    seconds: Mapping[str, float]

    @cached_property
    def module(self) -> fx.GraphModule:
        """The rewritten network for PyTorch, in the model's own dtypes, called as the original is."""
        return demote(self.graph)

    @property
    def onnx(self) -> ModelProto:
        """The ONNX model. Raises UsageError when the network was compiled without one."""
        if self.deployed is None:
            raise UsageError("the network was compiled for PyTorch only; compile it with lower=True for ONNX")
        return self.deployed.model

    def save(self, path: str | Path) -> Path:
        """Write `.onnx`, or `.pt2` for PyTorch; the file appears whole or not at all, and is added to the report."""
        return save(self, Path(path))


@dataclass
class _Steps:
    """Times the steps and tells what is going on."""

    say: Say | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        if self.say is not None:
            self.say(name)
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def compile(
    model: nn.Module | ExportedProgram,
    inputs: Any = None,
    target: str | Target = "cpu",
    *,
    power_mode: str | None = None,
    opset: int | None = None,
    shapes: Sequence[InputSpec | str] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    passes: str | Sequence[Pass] | None = None,
    skip: Sequence[str] = (),
    collapse: str = "auto",
    collapse_cost: str | Cost = "target",
    verify: bool = True,
    lower: bool = True,
    simplify: bool = False,
    data: Mapping[str, Array] | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> Compiled:
    """Capture, rewrite, lower and verify a network.

    `inputs` are example arguments, or `shapes` describes them (`"x:Nx3x224x224:uint8"`, a letter is a dynamic size).
    `passes` replaces the default pipeline, `skip` names passes to leave out, `collapse` says when regions of linear
    operators become fewer ones: auto (where it pays), always, never. `collapse_cost` tells what pays: "target"
    (its latency model in `power_mode`; operations where it has none), "flops", "measured" (timed in onnxruntime on this
    host), or a function of descriptions. With `verify` the graph is compared
    with the captured one after every pass, in float64, and the ONNX model in onnxruntime at the end, on seeded inputs
    and on `data` (arrays by input name). Nothing is written; see `Compiled.save`.

    Raises UsageError, CaptureFailed, UnsupportedByTarget, NotEquivalent, and PassError or RuntimeTargetError.
    """
    profile = target if isinstance(target, Target) else load_target(target)
    opset = _checked_opset(opset, profile)
    pipeline = _pipeline(passes, skip, collapse, load_collapse_cost(collapse_cost, profile, power_mode))
    steps, report = _Steps(progress), new_report("compile", seed=seed)
    report.target = _target_entry(profile, power_mode, opset)
    names = {"input_names": input_names, "output_names": output_names}
    with steps.step("capture"):
        captured = capture(model, inputs, shapes=_specs(shapes), **names, mean=mean, std=std, seed=seed)
    report.warnings = captured.warnings
    reference = None
    if verify:
        with steps.step("verify"):
            reference = Reference.of(captured, seed=seed, data=data)
    graph = g.copy_graph(captured.gm)
    report.passes = _rewrite(graph, pipeline, reference, steps)
    report.latency = estimated_latency(captured.gm, graph, profile, power_mode, opset)
    deployed = verification = None
    if lower:
        with steps.step("lower"):
            deployed = deploy(graph, profile, opset, captured.input_specs, simplified=simplify)
        report.warnings = (*report.warnings, *deployed.warnings)
        report.passes = (*report.passes, *_substitutions(graph, deployed, reference, steps))
    if reference is not None:
        with steps.step("verify"):
            verification = _verify(captured, graph, deployed, reference, report)
    report.verification = "done" if verify else "skipped"
    report.seconds = round(sum(steps.seconds.values()), 3)
    return Compiled(graph, captured, deployed, verification, report, steps.seconds)


def _substitutions(
    graph: fx.GraphModule, deployed: Deployed, reference: Reference | None, steps: _Steps
) -> tuple[PassEntry, ...]:
    """The entry of what was substituted for the target, checked in float64 like any pass; none where nothing was."""
    result = deployed.substituted
    if not result and not result.rejects:
        return ()
    error = None
    if reference is not None and result:
        with steps.step("verify"):
            error = verify_pass(deployed.graph, reference, result.name)
    return (pass_entry(result, sizes(graph), sizes(deployed.graph), error),)


def _verify(
    captured: Captured, graph: fx.GraphModule, deployed: Deployed | None, reference: Reference, report: Report
) -> Verification:
    """The ONNX model, or else the rewritten module, against the captured network.

    Raises NotEquivalent, with the report so far, unless both sides are equal.
    """
    if deployed is None:
        verification = verify_module(reference, demote(graph))
    else:
        verification = verify_onnx(captured, deployed.model, reference=reference, graph=deployed.graph)
    report.verify, report.warnings = verification.entries(), (*report.warnings, *verification.warnings)
    try:
        verification.require()
    except NotEquivalent as error:
        error.report = report
        raise
    return verification


def _rewrite(
    graph: fx.GraphModule, pipeline: tuple[Pass, ...], reference: Reference | None, steps: _Steps
) -> tuple[PassEntry, ...]:
    """Run the pipeline, and check the graph after every pass that changed it."""
    entries: list[PassEntry] = []
    before = sizes(graph)

    def after(gm: fx.GraphModule, p: Pass, result: PassResult) -> None:
        nonlocal before
        error = None
        if reference is not None and result:
            with steps.step("verify"):
                error = verify_pass(gm, reference, p.name)
        now = sizes(gm) if result else before
        entries.append(pass_entry(result, before, now, error))
        before = now

    started, checked = time.perf_counter(), steps.seconds.get("verify", 0.0)
    if steps.say is not None:
        steps.say("rewrite")
    run_pipeline(pipeline, graph, after)
    steps.seconds["rewrite"] = time.perf_counter() - started - (steps.seconds.get("verify", 0.0) - checked)
    return tuple(_still_true(entry, graph) for entry in entries)


def _still_true(entry: PassEntry, graph: fx.GraphModule) -> PassEntry:
    """The entry without refusals about nodes that a later pass did away with after all."""
    here = {node.name for node in graph.graph.nodes}
    return entry.model_copy(update={"rejects": tuple(r for r in entry.rejects if r.node in here)})


def _pipeline(passes: str | Sequence[Pass] | None, skip: Sequence[str], collapse: str, cost: Cost) -> tuple[Pass, ...]:
    """The passes to run; passes that come as objects keep the cost and the mode they have."""
    if passes is None:
        chosen = tuple(replace(p, mode=collapse) if isinstance(p, LINEAR) else p for p in default_pipeline(PASSES))
    else:
        chosen = parse_pipeline(passes, PASSES) if isinstance(passes, str) else tuple(passes)
    if passes is None or isinstance(passes, str):
        chosen = tuple(replace(p, cost=cost) if isinstance(p, LINEAR) else p for p in chosen)
    return without((p for p in chosen if p != SubstituteOperators()), skip, PASSES)


def _specs(shapes: Sequence[InputSpec | str] | None) -> tuple[InputSpec, ...] | None:
    if shapes is None:
        return None
    if all(isinstance(s, str) for s in shapes):
        return parse_shapes([str(s) for s in shapes])
    return tuple(s if isinstance(s, InputSpec) else parse_shapes([s])[0] for s in shapes)


def _checked_opset(opset: int | None, target: Target) -> int:
    if opset is None:
        return target.opset
    if opset not in OPSETS:
        raise UsageError(f"opset must be from {min(OPSETS)} to {max(OPSETS)}, got {opset}")
    if opset > target.opset:
        raise UsageError(f"opset must be at most {target.opset}, the newest that {target.name} imports, got {opset}")
    return opset


def _target_entry(target: Target, power_mode: str | None, opset: int) -> TargetEntry:
    mode = None
    if target.silicon is not None:
        mode = target.silicon.mode(power_mode)
    elif power_mode is not None:
        raise UsageError(f"{target.name} has no power modes, got '{power_mode}'")
    ir_version = ir_version_of(opset)
    return TargetEntry(name=target.name, tensorrt=target.tensorrt, opset=opset, ir_version=ir_version, power_mode=mode)
