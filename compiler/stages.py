"""The stages of `compile()`: rewrite, lower, verify; each is timed and tells the report what it did."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import fx

from nascc.compiler.capture import Captured
from nascc.compiler.deploy import Deployed, deploy
from nascc.compiler.entries import pass_entry, sizes
from nascc.compiler.errors import NotEquivalent, UnsupportedByTarget
from nascc.compiler.lint import Finding
from nascc.compiler.reference import Reference
from nascc.compiler.report import PassEntry, Report
from nascc.compiler.target_lint import blocking, check_target
from nascc.compiler.verification import Verification
from nascc.compiler.verify import verify_module, verify_onnx, verify_pass
from nascc.passes import Pass, PassResult, demote, run_pipeline
from nascc.passes import graph as g
from nascc.runtime.profile import Target

Say = Callable[[str], None]


@dataclass
class Steps:
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


@dataclass(frozen=True, eq=False)
class Stages:
    """What all stages of one compilation share; without a `reference` nothing is verified."""

    captured: Captured
    target: Target
    opset: int
    reference: Reference | None
    report: Report
    steps: Steps

    def rewrite(self, pipeline: tuple[Pass, ...]) -> fx.GraphModule:
        """The rewritten graph; after every pass that changed it, it is checked."""
        graph = g.copy_graph(self.captured.gm)
        entries: list[PassEntry] = []
        before = sizes(graph)

        def after(gm: fx.GraphModule, p: Pass, result: PassResult) -> None:
            nonlocal before
            now = sizes(gm) if result else before
            entries.append(pass_entry(result, before, now, self._error(gm, result)))
            before = now

        seconds = self.steps.seconds
        started, checked = time.perf_counter(), seconds.get("verify", 0.0)
        if self.steps.say is not None:
            self.steps.say("rewrite")
        run_pipeline(pipeline, graph, after)
        seconds["rewrite"] = time.perf_counter() - started - (seconds.get("verify", 0.0) - checked)
        self.report.passes = tuple(_still_true(entry, graph) for entry in entries)
        return graph

    def lower(self, graph: fx.GraphModule, *, simplified: bool, allow_unsupported: bool) -> Deployed:
        """The ONNX model of a graph, checked against the target's operator table.

        Raises UnsupportedByTarget, with the report so far, for what the target can not run, unless that is allowed.
        """
        with self.steps.step("lower"):
            deployed = deploy(graph, self.target, self.opset, self.captured.input_specs, simplified=simplified)
        report = self.report
        report.warnings = (*report.warnings, *deployed.warnings)
        report.passes = (*report.passes, *self._substitutions(graph, deployed))
        with self.steps.step("lower"):
            found = check_target(deployed.model, self.target)
        report.findings = (*report.findings, *(finding.entry() for finding in found))
        if (stops := blocking(found)) and not allow_unsupported:
            error = UnsupportedByTarget(_refusal(self.target, stops))
            error.report = report
            raise error
        return deployed

    def verify(self, graph: fx.GraphModule, deployed: Deployed | None) -> Verification | None:
        """The ONNX model, or else the rewritten module, against the captured network.

        Raises NotEquivalent, with the report so far, unless both sides are equal.
        """
        report, reference = self.report, self.reference
        report.verification = "done" if reference is not None else "skipped"
        if reference is None:
            return None
        with self.steps.step("verify"):
            if deployed is None:
                verification = verify_module(reference, demote(graph))
            else:
                verification = verify_onnx(self.captured, deployed.model, reference=reference, graph=deployed.graph)
        report.verify, report.warnings = verification.entries(), (*report.warnings, *verification.warnings)
        try:
            verification.require()
        except NotEquivalent as error:
            error.report = report
            raise
        return verification

    def _error(self, gm: fx.GraphModule, result: PassResult) -> float | None:
        """The relative error of a graph in float64; None where nothing changed or nothing is verified."""
        if self.reference is None or not result:
            return None
        with self.steps.step("verify"):
            return verify_pass(gm, self.reference, result.name)

    def _substitutions(self, graph: fx.GraphModule, deployed: Deployed) -> tuple[PassEntry, ...]:
        """The entry of what was substituted for the target, checked like any pass; none where nothing was."""
        result = deployed.substituted
        if not result and not result.rejects:
            return ()
        return (pass_entry(result, sizes(graph), sizes(deployed.graph), self._error(deployed.graph, result)),)


def _still_true(entry: PassEntry, graph: fx.GraphModule) -> PassEntry:
    """The entry without refusals about nodes that a later pass did away with after all."""
    here = {node.name for node in graph.graph.nodes}
    return entry.model_copy(update={"rejects": tuple(r for r in entry.rejects if r.node in here)})


def _refusal(target: Target, found: list[Finding]) -> str:
    return (
        f"{target.name} must be able to run every node, but: {'; '.join(map(str, found))}; "
        "nothing was written (--allow-unsupported writes it all the same)"
    )
