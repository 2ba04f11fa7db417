"""Time and check the files of one network against each other, interleaved within one process."""

import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nascc.tools.bench.networks import load_network

Array = NDArray[Any]


def session(path: str) -> onnxruntime.InferenceSession:
    """One thread, every optimisation that onnxruntime has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
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


def least_milliseconds(sessions: Sequence[onnxruntime.InferenceSession], feed: Array, rounds: int) -> list[float]:
    """The fastest run of each session; every round runs all of them, so that all meet the same disturbances."""
    least = [float("inf")] * len(sessions)
    for _ in range(rounds):
        for index, candidate in enumerate(sessions):
            started = time.perf_counter()
            candidate.run(None, {candidate.get_inputs()[0].name: feed})
            least[index] = min(least[index], (time.perf_counter() - started) * 1e3)
    return least


def run(network: str, paths: Sequence[str], rounds: int) -> dict[str, Any]:
    """For each file the least milliseconds and the error against float64, and the error of eager fp32 itself."""
    loaded = load_network(network)
    own = eager(loaded.module, loaded.inputs, torch.float32)
    expected = eager(loaded.module, loaded.inputs, torch.float64)
    sessions = [session(path) for path in paths]
    feed = loaded.inputs[0].numpy()
    outputs = [candidate.run(None, {candidate.get_inputs()[0].name: feed}) for candidate in sessions]
    return {
        "eager_error": relative_error(expected, own),
        "errors": [relative_error(expected, output) for output in outputs],
        "ms": least_milliseconds(sessions, feed, rounds),
    }


def main() -> None:
    """Read the request as JSON from the first argument, write the answer into its folder."""
    request = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answer = run(request["network"], request["paths"], request["rounds"])
    Path(request["folder"], "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
