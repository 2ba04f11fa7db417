"""The front door: `compile()` takes a trained network and gives back a smaller, proven, deployable one."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from onnx import ModelProto
from torch import fx, nn
from torch.export import ExportedProgram

from nascc.compiler.capture import Captured, capture
from nascc.compiler.collapse_costs import collapse_cost as load_collapse_cost
from nascc.compiler.collapse_costs import least_gain
from nascc.compiler.deploy import Deployed
from nascc.compiler.errors import UsageError
from nascc.compiler.estimates import estimated_latency
from nascc.compiler.provenance import new_report, target_entry
from nascc.compiler.reference import Reference
from nascc.compiler.report import Report
from nascc.compiler.save import save
from nascc.compiler.shapes import InputSpec, parse_shapes
from nascc.compiler.stages import Say, Stages, Steps
from nascc.compiler.verification import Verification
from nascc.passes import (
    PASSES,
    CollapseLinear,
    MergeBranches,
    Pass,
    SubstituteOperators,
    default_pipeline,
    demote,
    parse_pipeline,
    without,
)
from nascc.passes.linear.cost import Cost
from nascc.runtime.profile import OPSETS, Target, load_target
from nascc.runtime.runners.base import Array

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


def compile(
    model: nn.Module | ExportedProgram | Captured,
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
    keep_residuals: bool = False,
    verify: bool = True,
    lower: bool = True,
    allow_unsupported: bool = False,
    simplify: bool = False,
    data: Mapping[str, Array] | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> Compiled:
    """Capture, rewrite, lower and verify a network.

    A network that was captured before is taken as its graph is now; it has its inputs and names.
    `inputs` are example arguments, or `shapes` describes them (`"x:Nx3x224x224:uint8"`, a letter is a dynamic size).
    `passes` replaces the default pipeline, `skip` names passes to leave out, `collapse` says when regions of linear
    operators become fewer ones: auto (where it pays), always, never. `collapse_cost` tells what pays: "target"
    (its latency model in `power_mode`; operations where it has none), "flops", "measured" (timed in onnxruntime on this
    host), or a function of descriptions. `keep_residuals` leaves x + f(x) an addition, for int8. With `verify` the
    graph is compared with the captured one after every pass, in float64, and the ONNX model in onnxruntime at the end,
    on seeded inputs and on `data` (arrays by input name). Nothing is written; see `Compiled.save`.

    Raises UsageError, CaptureFailed, UnsupportedByTarget, NotEquivalent, and PassError or RuntimeTargetError.
    """
    profile = target if isinstance(target, Target) else load_target(target)
    opset = _checked_opset(opset, profile)
    cost, gain = load_collapse_cost(collapse_cost, profile, power_mode), least_gain(collapse_cost, profile)
    pipeline = _pipeline(passes, skip, collapse, cost, gain, keep_residuals)
    steps, report = Steps(progress), new_report("compile", seed=seed)
    report.target = target_entry(profile, power_mode, opset)
    with steps.step("capture"):
        if isinstance(model, Captured):
            captured = model
        else:
            names = {"input_names": input_names, "output_names": output_names}
            captured = capture(model, inputs, shapes=_specs(shapes), **names, mean=mean, std=std, seed=seed)
    report.warnings = captured.warnings
    with steps.step("verify") if verify else nullcontext():
        reference = Reference.of(captured, seed=seed, data=data) if verify else None
    stages = Stages(captured, profile, opset, reference, report, steps)
    graph = stages.rewrite(pipeline)
    report.latency = estimated_latency(captured.gm, graph, profile, power_mode, opset)
    deployed = stages.lower(graph, simplified=simplify, allow_unsupported=allow_unsupported) if lower else None
    verification = stages.verify(graph, deployed)
    report.seconds = round(sum(steps.seconds.values()), 3)
    return Compiled(graph, captured, deployed, verification, report, steps.seconds)


def _pipeline(
    passes: str | Sequence[Pass] | None, skip: Sequence[str], collapse: str, cost: Cost, gain: float, residuals: bool
) -> tuple[Pass, ...]:
    """The passes to run; passes that come as objects keep the cost and the mode they have."""
    if passes is None:
        chosen = tuple(replace(p, mode=collapse) if isinstance(p, LINEAR) else p for p in default_pipeline(PASSES))
    else:
        chosen = parse_pipeline(passes, PASSES) if isinstance(passes, str) else tuple(passes)
    if residuals:
        chosen = tuple(replace(p, keep_residuals=True) if isinstance(p, LINEAR) else p for p in chosen)
    if passes is None or isinstance(passes, str):
        chosen = tuple(replace(p, cost=cost) if isinstance(p, LINEAR) else p for p in chosen)
        chosen = tuple(replace(p, least_gain=gain) if isinstance(p, CollapseLinear) else p for p in chosen)
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
