"""onnxruntime on a device with Python: a small program is copied there, which measures and runs."""

import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.errors import DeviceFailed, RunnerFailed
from nascc.runtime.measure import ROUNDS, Samples, Timings, steady
from nascc.runtime.measure_onnx import Shapes, example_feed, require_same
from nascc.runtime.onnx_ends import input_specs, output_specs
from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.remote.link import Link
from nascc.runtime.remote.models import put_model
from nascc.runtime.runners.base import Array, Runner

PYTHON = "python3"
OUT_OF_MEMORY = 137
RUN_S, ROUND_S = 600.0, 60.0
"""How long a run may take, and how long a round of a measurement."""
_PROGRAM = ("sampling.py", "measuring.py")
MARK = "nascc-reply "


def put_program(link: Link) -> None:
    """Copy the program to the device."""
    for name in _PROGRAM:
        text = (resources.files("nascc.runtime.remote.program") / name).read_text("utf-8")
        link.put_bytes(text.encode(), name)


def measure_remote(
    link: Link,
    paths: Sequence[str | Path],
    shapes: Shapes | None = None,
    *,
    rounds: int = ROUNDS,
    threads: int = 1,
    seed: int = 0,
    python: str = PYTHON,
) -> Timings:
    """Measure files on the device as `measure_files` does here: in pairs, around the anchor.

    Raises what `measure_files` raises, DeviceUnreachable and DeviceFailed.
    """
    feeds = [example_feed(input_specs(read_onnx(Path(path))), shapes or {}, seed) for path in paths]
    require_same(paths, feeds)
    put_program(link)
    anchor = link.put_bytes(anchor_model().SerializeToString(), "anchor.onnx")
    models = [anchor, *(put_model(link, Path(path), f"model-{i}") for i, path in enumerate(paths))]
    inputs = [link.put_bytes(npz(feed), f"inputs-{i}.npz") for i, feed in enumerate([anchor_feed(), *feeds])]
    request = {"task": "measure", "models": models, "inputs": inputs, "rounds": rounds, "threads": threads}
    clock = "processor" if threads == 1 else "wall"

    def take() -> Samples:
        samples: Samples = ask(link, request, python, timeout_s=RUN_S + ROUND_S * rounds)["samples"]
        return samples

    return steady(take, clock=clock, threads=threads)


def busy_remote(link: Link, path: Path, shapes: Shapes, seconds: int, *, python: str = PYTHON) -> tuple[float, float]:
    """Run a file over and over; returns when that began and ended, by the clock of the device."""
    feed = link.put_bytes(npz(example_feed(input_specs(read_onnx(path)), shapes)), "busy.npz")
    put_program(link)
    model = put_model(link, path, "busy")
    request = {"task": "busy", "models": [model], "inputs": [feed], "seconds": seconds, "threads": 1}
    reply = ask(link, request, python, timeout_s=RUN_S + seconds)
    return float(reply["began"]), float(reply["ended"])


def ask(link: Link, request: Mapping[str, Any], python: str = PYTHON, *, timeout_s: float = RUN_S) -> dict[str, Any]:
    """Have the program on the device do something; returns its reply. Raises RunnerFailed, DeviceFailed."""
    threads = {"OMP_NUM_THREADS": str(request["threads"])} if request["threads"] else {}
    ended = link.run([python, "measuring.py", json.dumps(request)], timeout_s=timeout_s, environment=threads)
    if ended.status == OUT_OF_MEMORY:
        raise DeviceFailed(f"the device must have memory for the model, but its kernel killed '{python}'")
    replies = [line for line in ended.stdout.splitlines() if line.startswith(MARK)]
    if ended.status != 0 or not replies:
        said = [line for line in ended.stderr.splitlines() if line.strip()][-1:] or ["nothing was said"]
        raise DeviceFailed(
            f"'{python}' on the device must have numpy and onnxruntime, but: {said[0].strip()[:300]}; "
            "install them there, or name another Python with --remote-python"
        )
    reply: dict[str, Any] = json.loads(replies[-1][len(MARK) :])
    if "error" in reply:
        raise RunnerFailed(f"onnxruntime on the device must run the model, but: {reply['error']}")
    return reply


def npz(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as the content of an .npz file."""
    file = io.BytesIO()
    np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    return file.getvalue()


class RemoteOnnxRunner(Runner):
    """A model in onnxruntime on a device. `link` must be open as long as the runner is active."""

    def __init__(self, link: Link, model: Path, *, threads: int = 0, python: str = PYTHON) -> None:
        self.name = f"onnxruntime on {link.address.host}"
        self._link, self._model, self._threads, self._python = link, model, threads, python
        self._there = ""
        self.peak_mib: float | None = None
        """The most memory that a process took there so far."""

    def _activate(self) -> None:
        model = read_onnx(self._model)
        self.inputs, self.outputs = input_specs(model), output_specs(model)
        put_program(self._link)
        self._there = put_model(self._link, self._model, "runner")

    def _deactivate(self) -> None:
        pass  # the folder goes away with the link

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self.run_all([inputs])[0]

    def run_all(self, samples: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """The outputs for each of several inputs, in one go. Raises RunnerFailed, DeviceUnreachable, DeviceFailed."""
        inputs = [self._link.put_bytes(npz(feed), f"feed-{i}.npz") for i, feed in enumerate(samples)]
        request = {"task": "run", "models": [self._there], "inputs": inputs, "threads": self._threads}
        reply = ask(self._link, request, self._python)
        self.peak_mib = max(self.peak_mib or 0.0, float(reply["peak_mib"]))
        found = []
        for file in reply["outputs"]:
            with np.load(io.BytesIO(self._link.get(file))) as arrays:
                found.append({name: arrays[str(i)] for i, name in enumerate(reply["names"])})
        return found
