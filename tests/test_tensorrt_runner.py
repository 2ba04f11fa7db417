"""TensorRT through its Python package: run where it is, refused with the reason elsewhere."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from device_kit import small_file
from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.runtime.runners.tensorrt import TensorRtRunner

HERE = importlib.util.find_spec("tensorrt") is not None and torch.cuda.is_available()


@pytest.mark.skipif(HERE, reason="TensorRT is here")
def test_without_tensorrt_it_says_so(tmp_path: Path) -> None:
    runner = TensorRtRunner(tmp_path / "net.onnx")
    with pytest.raises(RunnerFailed, match="TensorRT must be importable here|CUDA device must be there"):
        runner.__enter__()


@pytest.mark.tensorrt
@pytest.mark.skipif(not HERE, reason="needs the Python package of TensorRT and a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 1e-2)])
def test_computes_what_onnxruntime_computes(tmp_path: Path, precision: str, tolerance: float) -> None:
    file = small_file(tmp_path / "net.onnx", "orin-nano")
    feed = {"x": np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)}
    with TensorRtRunner(file, precision=precision) as runner, OnnxRunner(file) as other:  # type: ignore[arg-type]
        found, wanted = runner.run(feed), other.run(feed)
    for name, value in wanted.items():
        assert np.abs(found[name] - value).max() <= tolerance * np.abs(value).max()
