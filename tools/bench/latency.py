"""Time and check the files of one network against each other, interleaved within one process."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nascc.tools.bench.linear_networks import load_collapsible

Array = NDArray[Any]
SESSIONS = 4


def session(path: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """Every optimisation that onnxruntime has; idle threads sleep, so that sessions do not disturb each other."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def flat(outputs: Tensor | Sequence[Tensor] | dict[str, Tensor]) -> list[Array]:
    leaves = torch.utils._pytree.tree_leaves(outputs)
    return [leaf.detach().numpy() for leaf in leaves]


def eager(module: nn.Module, inputs: tuple[Tensor, ...], dtype: torch.dtype) -> list[Array]:
    with torch.no_grad():
        return flat(module.to(dtype)(*(tensor.to(dtype) for tensor in inputs)))


def relative_error(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """The largest difference over the largest value, over all outputs; infinite where shapes differ."""
    if [array.shape for array in expected] != [array.shape for array in actual]:
        return float("inf")
    pairs = zip(expected, actual, strict=True)
    return max(float(np.abs(want - got).max() / max(float(np.abs(want).max()), 1e-30)) for want, got in pairs)


def least_milliseconds(paths: Sequence[str], feed: Array, rounds: int, threads: int = 1) -> list[float]:
    """The fastest run of each file.

    Every round runs all of them, each time from another one on, so that all meet the same disturbances; sessions are
    made anew a few times, because where one happens to lie in memory changes its speed. A single thread is timed by
    the processor time it took, which leaves out what else the machine did meanwhile; several by the wall clock.
    """
    least = [float("inf")] * len(paths)
    clock = time.thread_time if threads == 1 else time.perf_counter
    for start in range(SESSIONS):
        order = [*range(start % len(paths), len(paths)), *range(start % len(paths))]
        sessions = {index: session(paths[index], threads) for index in order}
        for _ in range(max(rounds // SESSIONS, 1)):
            order = [*order[1:], order[0]]
            for index in order:
                least[index] = min(least[index], milliseconds(sessions[index], feed, clock))
    return least


def milliseconds(candidate: onnxruntime.InferenceSession, feed: Array, clock: Callable[[], float]) -> float:
    """One run."""
    started = clock()
    candidate.run(None, {candidate.get_inputs()[0].name: feed})
    return (clock() - started) * 1e3


def run(network: str, paths: Sequence[str], rounds: int, threads: int = 1, batch: int = 1) -> dict[str, Any]:
    """For each file the least milliseconds and the error against float64, and the error of eager fp32 itself."""
    loaded = load_collapsible(network, batch)
    own = eager(loaded.module, loaded.inputs, torch.float32)
    expected = eager(loaded.module, loaded.inputs, torch.float64)
    feed = loaded.inputs[0].numpy()
    return {
        "eager_error": relative_error(expected, own),
        "errors": [relative_error(expected, outputs(path, feed)) for path in paths],
        "ms": least_milliseconds(paths, feed, rounds, threads),
    }


def outputs(path: str, feed: Array) -> list[Array]:
    """What the file computes."""
    candidate = session(path)
    return list(candidate.run(None, {candidate.get_inputs()[0].name: feed}))


def main() -> None:
    """Read the request as JSON from the first argument, write the answer into its folder."""
    request = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder = Path(request.pop("folder"))
    answer = run(**request)
    Path(folder, "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
