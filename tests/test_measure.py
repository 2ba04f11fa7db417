"""Measuring: distributions, paired ratios, the anchor, and what is rejected."""

from collections.abc import Callable, Iterator
from itertools import cycle, repeat
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.distribution import Distribution, paired_ratio
from nascc.runtime.errors import DifferentInputs, OpenSizes, RunnerFailed, UnstableMachine
from nascc.runtime.measure import Timings, measure
from nascc.runtime.measure_onnx import example_feed, measure_files
from nascc.runtime.measure_torch import measure_modules
from nascc.runtime.onnx_shapes import with_sizes
from nascc.runtime.runners.base import TensorSpec
from nascc.runtime.runners.onnx import OnnxRunner


class Machine:
    """A clock that runs only while a network does, for as long as the network's own list of seconds says."""

    def __init__(self) -> None:
        self.now = 0.0

    def network(self, seconds: Iterator[float]) -> Callable[[], None]:
        def run() -> None:
            self.now += next(seconds)

        return run

    def clock(self) -> float:
        return self.now


def timed(anchor: Iterator[float], *networks: Iterator[float], rounds: int = 10) -> Timings:
    machine = Machine()
    runs = [machine.network(seconds) for seconds in networks]
    return measure(runs, machine.network(anchor), rounds=rounds, clock=machine.clock)


def relu(path: Path, shape: tuple[int | str, ...] = (1, 4), kind: int = TensorProto.FLOAT) -> Path:
    x, y = (helper.make_tensor_value_info(name, kind, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))
    return path


def test_a_distribution_of_known_numbers() -> None:
    found = Distribution.of([float(i) for i in range(1, 102)])
    assert found == Distribution(51.0, 11.0, 91.0, 100.0, 101)


def test_a_ratio_withstands_outliers() -> None:
    rng = np.random.default_rng(0)
    slow = rng.uniform(1, 2, 50)
    other = slow * 1.25 * np.exp(rng.normal(0, 0.01, 50))
    other[::10] *= 8
    found = paired_ratio(list(other), list(slow))
    assert found.value == pytest.approx(1.25, rel=0.01) and found.low < found.value < found.high and found.n == 50
    assert paired_ratio([2.0], [1.0]).value == pytest.approx(2.0)


def test_times_are_those_of_the_clock() -> None:
    found = timed(repeat(1e-3), repeat(2e-3), repeat(3e-3))
    assert [t.spent.median_ms for t in found.timings] == pytest.approx([2, 3])
    assert found.ratio(1, 0).value == pytest.approx(1.5) and found.per_anchor(0).value == pytest.approx(2)
    assert found.drift_percent == pytest.approx(0, abs=1e-6) and len(found.timings[0].least_ms) == 10


def test_a_machine_that_slows_down_and_recovers_leaves_the_ratio() -> None:
    factor = cycle([*[1.0] * 40, *[1.7] * 40])
    machine, slowness = Machine(), [1.0]

    def network(seconds: float) -> Callable[[], None]:
        def run() -> None:
            slowness[0] = next(factor)
            machine.now += seconds * slowness[0]

        return run

    found = measure([network(1e-2), network(2e-2)], network(1e-2), rounds=30, clock=machine.clock, drift_percent=100)
    assert found.ratio(1, 0).value == pytest.approx(2, rel=0.05)


def growing() -> Iterator[float]:
    seconds = 1e-3
    while True:
        seconds *= 1.005
        yield seconds


def test_an_anchor_that_drifts_is_rejected() -> None:
    with pytest.raises(UnstableMachine, match=r"same time in the end.*drifted by \+.*stop what else runs") as caught:
        timed(growing(), repeat(1e-3))
    assert caught.value.exit_code == 7


def test_a_second_attempt_may_succeed() -> None:
    # every run of the anchor in a first attempt of ten rounds, each a little slower, and then a machine at rest
    def settling() -> Iterator[float]:
        yield from (1e-3 * 1.005**i for i in range(200))
        yield from repeat(1e-3)

    assert timed(settling(), repeat(1e-3)).drift_percent == pytest.approx(0, abs=1e-9)


@pytest.fixture
def any_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs here must not fail a test."""
    monkeypatch.setattr("nascc.runtime.measure.DRIFT_PERCENT", float("inf"))


@pytest.mark.usefixtures("any_drift")
def test_files_are_measured_together(tmp_path: Path) -> None:
    files = [relu(tmp_path / name) for name in ("a.onnx", "b.onnx")]
    found = measure_files(files, rounds=5)
    assert len(found.timings) == 2 and found.threads == 1 and found.clock == "processor"
    assert found.timings[0].spent.n == 125 and found.timings[0].spent.p10_ms <= found.timings[0].spent.p99_ms
    assert 0 < found.per_anchor(0).value < 1


def test_files_with_other_inputs_do_not_compare(tmp_path: Path) -> None:
    files = [relu(tmp_path / "a.onnx"), relu(tmp_path / "b.onnx", (1, 5))]
    with pytest.raises(DifferentInputs, match=r"'.*a.onnx' takes x:float32\[1, 4\]"):
        measure_files(files, rounds=5)


@pytest.mark.usefixtures("any_drift")
def test_open_sizes_must_be_given(tmp_path: Path) -> None:
    file = relu(tmp_path / "a.onnx", ("N", 4))
    with pytest.raises(OpenSizes, match=r"'x' is \[N, 4\]; give --shapes"):
        measure_files([file], rounds=5)
    assert measure_files([file], {"x": (3, 4)}, rounds=5).timings
    with pytest.raises(DifferentInputs, match=r"must be \[N, 4\], got \[3, 5\]"):
        measure_files([file], {"x": (3, 5)}, rounds=5)
    with pytest.raises(DifferentInputs, match="must name inputs"):
        measure_files([file], {"z": (3, 4)}, rounds=5)


def test_open_sizes_of_a_model(tmp_path: Path) -> None:
    model = onnx.load(str(relu(tmp_path / "a.onnx", ("N", 4))))
    sized = with_sizes(model, {"x": (3, 4)})
    assert [d.dim_value for d in sized.graph.input[0].type.tensor_type.shape.dim] == [3, 4]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    with pytest.raises(OpenSizes, match=r"'x' is \[N, 4\]; give --shapes x:1x4"):
        with_sizes(model, {})
    with pytest.raises(DifferentInputs, match=r"'x' is \[N, 4\], got \[3, 5\]"):
        with_sizes(model, {"x": (3, 5)})
    with pytest.raises(DifferentInputs, match="'z' is no input"):
        with_sizes(model, {"z": (3, 4)})


def test_inputs_of_every_kind_are_drawn_alike() -> None:
    specs = [TensorSpec(n, (2, 3), np.dtype(n)) for n in ("float32", "float16", "uint8", "int64", "bool")]
    first, again = example_feed(specs, {}), example_feed(specs, {})
    for spec in specs:
        assert first[spec.name].dtype == spec.dtype and np.array_equal(first[spec.name], again[spec.name])
    assert not first["int64"].any() and not np.array_equal(first["float32"], example_feed(specs, {}, 1)["float32"])


def test_the_anchor_is_always_the_same() -> None:
    assert anchor_model().SerializeToString() == anchor_model().SerializeToString()
    with OnnxRunner(anchor_model()) as runner:
        (values,) = runner.run(anchor_feed()).values()
    assert np.isfinite(values).all() and 0.01 < float(np.asarray(values).mean()) < 10


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_without_a_device_there_is_nothing_to_measure_on_cuda() -> None:
    with pytest.raises(RunnerFailed, match="a CUDA device must be there"):
        measure_modules([torch.nn.ReLU()], [torch.ones(1)])


@pytest.mark.gpu
@pytest.mark.usefixtures("any_drift")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_modules_are_measured_on_cuda() -> None:
    found = measure_modules([torch.nn.Conv2d(3, 8, 3)] * 2, [torch.ones(1, 3, 32, 32)], rounds=5)
    assert found.clock == "wall" and found.ratio(0, 1).value > 0
