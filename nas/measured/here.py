"""This machine as what measures networks: onnxruntime, around an anchor that stays open."""

from collections.abc import Callable, Sequence
from functools import partial

from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.measure import measure
from nascc.runtime.measure_onnx import example_feed, run_on
from nascc.runtime.remote.fleet import ROUNDS, Job, Measured, steadily
from nascc.runtime.runners.onnx import OnnxRunner

NAME = "here"


class Here:
    """Measures on one thread, by the processor time it takes."""

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        """Measure one after the other. Raises UnstableMachine, RunnerFailed."""
        with OnnxRunner(anchor_model(), threads=1) as anchor:
            reference = run_on(anchor, anchor_feed())
            for job in jobs:
                with OnnxRunner(job.emit(), threads=1) as runner:
                    run = run_on(runner, example_feed(runner.inputs, {}))
                    found = steadily(partial(measure, [run], reference, rounds=ROUNDS))
                done(Measured(job.number, found.per_anchor(0).value, found.anchor.spent.median_ms, NAME))
