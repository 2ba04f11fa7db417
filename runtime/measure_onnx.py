"""Measure ONNX files in onnxruntime on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.errors import DifferentInputs, OpenSizes
from nascc.runtime.measure import ROUNDS, Run, Timings, measure
from nascc.runtime.runners.base import Array, TensorSpec
from nascc.runtime.runners.onnx import OnnxRunner

Shapes = Mapping[str, tuple[int, ...]]


def measure_files(
    paths: Sequence[str | Path], shapes: Shapes | None = None, *, rounds: int = ROUNDS, threads: int = 1, seed: int = 0
) -> Timings:
    """Measure files with the same inputs together. `shapes` gives the sizes that the files leave open.

    Raises OpenSizes, DifferentInputs, UnstableMachine, and RunnerFailed where onnxruntime can not run a file.
    """
    with ExitStack() as stack:
        anchor = stack.enter_context(OnnxRunner(anchor_model(), threads=threads))
        runners = [stack.enter_context(OnnxRunner(path, threads=threads)) for path in paths]
        feeds = [example_feed(runner.inputs, shapes or {}, seed) for runner in runners]
        require_same(paths, feeds)
        runs = [run_on(runner, feed) for runner, feed in zip(runners, feeds, strict=True)]
        return measure(runs, run_on(anchor, anchor_feed()), rounds=rounds, threads=threads)


def run_on(runner: OnnxRunner, feed: Mapping[str, Array]) -> Run:
    """A call that runs a model once on the same inputs."""
    return lambda: runner.run(feed)


def example_feed(specs: Sequence[TensorSpec], shapes: Shapes, seed: int = 0) -> dict[str, Array]:
    """Seeded inputs: normal floats, bytes of any value, zeros of other types. Raises OpenSizes, DifferentInputs."""
    known = {spec.name for spec in specs}
    if unknown := sorted(set(shapes) - known):
        raise DifferentInputs(f"shapes must name inputs of the model, which are {sorted(known)}, got {unknown}")
    open_sizes = [f"'{s.name}' is {s.shown_dims}" for s in specs if any(isinstance(d, str) for d in _dims(s, shapes))]
    if open_sizes:
        raise OpenSizes(
            f"every size must be a number to run a model, but {', '.join(open_sizes)}; give --shapes NAME:1x3x224x224"
        )
    rng = np.random.default_rng(seed)
    feed = {spec.name: _example(spec, _dims(spec, shapes), rng) for spec in specs}
    if problems := [problem for spec in specs for problem in spec.problems(feed[spec.name])]:
        raise DifferentInputs("; ".join(problems))
    return feed


def _dims(spec: TensorSpec, shapes: Shapes) -> tuple[int | str, ...]:
    return shapes.get(spec.name, spec.dims or ())


def _example(spec: TensorSpec, dims: Sequence[int | str], rng: np.random.Generator) -> Array:
    shape, dtype = tuple(int(d) for d in dims), spec.dtype or np.dtype(np.float32)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":
        return rng.integers(0, 128, shape).astype(dtype)
    return np.zeros(shape, dtype)


def require_same(paths: Sequence[str | Path], feeds: Sequence[Mapping[str, Array]]) -> None:
    """Raise DifferentInputs unless all files take the same inputs: as many, of the same shapes and types, in order."""
    first, *others = [[f"{name}:{array.dtype}{list(array.shape)}" for name, array in feed.items()] for feed in feeds]
    for path, other in zip(paths[1:], others, strict=True):
        if [o.partition(":")[2] for o in other] != [f.partition(":")[2] for f in first]:
            raise DifferentInputs(
                f"files that are compared must have the same inputs, but '{paths[0]}' takes {', '.join(first)} and "
                f"'{path}' takes {', '.join(other)}"
            )
