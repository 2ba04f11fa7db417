"""What a network must compute: its outputs in float64, stored once, beside those in its own dtype."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from nascc.compiler.capture import Captured
from nascc.compiler.domain import InputDomain, domains_of
from nascc.compiler.errors import CaptureFailed, UsageError
from nascc.compiler.samples import Sample, data_samples, draw, plan
from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner
from nascc.runtime.runners.torch import TorchRunner, to_array

MANY_MACS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class ReferenceRun:
    """One sample: the captured graph's outputs in float64, and the original's in its own dtype.

    `own` is None when the original itself can not run. Integer and boolean outputs keep their dtype in both.
    """

    sample: Sample
    exact: tuple[Array, ...]
    own: tuple[Array, ...] | None


@dataclass(frozen=True, eq=False)
class Reference:
    """The runs that everything made from a network is compared with.

    `graph` is the captured graph, None for a network known only by what it computes; `dtypes` are those that outputs
    must have, and `skipped` says which samples the network itself does not accept.
    """

    graph: fx.GraphModule | None
    input_names: tuple[str, ...]
    names: tuple[str, ...]
    dtypes: tuple[np.dtype[np.generic], ...]
    runs: tuple[ReferenceRun, ...]
    skipped: tuple[str, ...] = ()

    @property
    def proof(self) -> ReferenceRun:
        """The run that every pass is judged by: random values, dynamic sizes other than those of the example."""
        second = self.runs[min(1, len(self.runs) - 1)]
        return second if second.sample.kind == "random" else self.runs[0]

    @classmethod
    def of(cls, captured: Captured, *, seed: int = 0, data: Mapping[str, Array] | None = None) -> "Reference":
        """Run a captured network on what `samples.plan` chooses, then on `data`.

        Raises CaptureFailed when it runs on nothing, UsageError when it does not run on `data`.
        """
        gm = captured.gm
        signature = gm.meta["signature"]
        own = TorchRunner(captured.module_call, signature.input_names, signature.output_names)
        randoms = 1 if captured.macs > MANY_MACS else 2
        runs, skipped = record(exact_runner(gm), own, domains_of(captured), seed=seed, data=data, randoms=randoms)
        return cls(gm, signature.input_names, signature.output_names, output_dtypes(gm), runs, skipped)


def record(
    exact: Runner,
    own: Runner,
    domains: Sequence[InputDomain],
    *,
    seed: int,
    data: Mapping[str, Array] | None,
    randoms: int = 2,
) -> tuple[tuple[ReferenceRun, ...], tuple[str, ...]]:
    """The runs on every sample that both runners accept, and why others were skipped.

    Raises CaptureFailed when none is accepted, UsageError when `data` is not.
    """
    recorder = _Recorder(exact, own)
    with ExitStack() as stack:
        try:
            stack.enter_context(exact)
            stack.enter_context(own)
        except RunnerFailed as error:
            raise CaptureFailed(f"the network must load, but: {error}") from error
        for wanted in plan(domains, seed, randoms=randoms):
            any(recorder.accepts(draw(domains, wanted, sizes)) for sizes in wanted.choices)
        for sample in data_samples(domains, data) if data else ():
            if not recorder.accepts(sample):
                raise UsageError(f"the network must run on the data, but: {recorder.skipped[-1]}")
    if not recorder.runs:
        raise CaptureFailed(f"the network must run on some input, but: {'; '.join(recorder.skipped)}")
    return tuple(recorder.runs), tuple(recorder.skipped)


class _Recorder:
    """Runs samples in two ways, and keeps what comes out."""

    def __init__(self, exact: Runner, own: Runner) -> None:
        self.runs: list[ReferenceRun] = []
        self.skipped: list[str] = []
        self._exact = exact
        self._own: Runner | None = own

    def accepts(self, sample: Sample) -> bool:
        """Run the sample and keep the outcome; or note why the network does not run on it."""
        try:
            own = self._run_own(sample)
            exact = tuple(self._exact.run(sample.inputs).values())
        except RunnerFailed as error:
            self.skipped.append(f"{sample.label}: {error}")
            return False
        self.runs.append(ReferenceRun(sample, exact, own))
        return True

    def _run_own(self, sample: Sample) -> tuple[Array, ...] | None:
        """The original's outputs; None when it did not run on the very first sample, which the graph was made from."""
        if self._own is None:
            return None
        try:
            return tuple(self._own.run(sample.inputs).values())
        except RunnerFailed as error:
            if self.runs:
                raise
            self._own = None
            self.skipped.append(f"the original in its own dtype: {error}")
            return None


def exact_runner(gm: fx.GraphModule) -> Runner:
    """A runner of a graph in float64. It follows the graph itself: generated code may be stale after an edit."""
    signature = gm.meta["signature"]
    return TorchRunner(fx.Interpreter(gm).run, signature.input_names, signature.output_names, dtype="float64")


def output_dtypes(gm: fx.GraphModule) -> tuple[np.dtype[np.generic], ...]:
    """The recorded dtype of each output."""
    (output,) = gm.graph.find_nodes(op="output")
    return tuple(to_array(torch.empty(0, dtype=value.meta["dtype"])).dtype for value in output.args[0])
