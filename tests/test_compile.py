"""compile(): the front door, from a module to files that were proven."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.fx import Node

from kit import randomised
from models import MODELS, X, model
from nascc.compiler import Compiled, NotEquivalent, UnsupportedByTarget, UsageError, compile
from nascc.compiler.output import atomically
from nascc.passes import Edit, FoldBatchNorm, PipelineError, Reject, RewritePass
from nascc.passes import graph as g
from nascc.runtime.errors import UnknownTarget

aten = torch.ops.aten


def small() -> nn.Module:
    return randomised(
        nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    )


def run(compiled: Compiled, *inputs: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(compiled.onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip((i.name for i in session.get_inputs()), inputs, strict=True)))


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("name", MODELS)
def test_every_network_at_every_opset(name: str, opset: int) -> None:
    compiled = compile(model(name), X, opset=opset)
    assert [i.version for i in compiled.onnx.opset_import] == [opset]
    assert compiled.verification and compiled.report.verification == "done"
    onnx.checker.check_model(compiled.onnx, full_check=True)
    assert all(entry.error is None or entry.error.fp64_rel <= 1e-10 for entry in compiled.report.passes)


def test_the_file_computes_what_the_module_computes(tmp_path: Path) -> None:
    network = small()
    compiled = compile(network, X, target="nano")
    with torch.no_grad():
        wanted = network(X).numpy()
        np.testing.assert_allclose(compiled.module(X).numpy(), wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(compiled, X.numpy())[0], wanted, rtol=1e-4, atol=1e-5)
    assert compiled.report.target is not None and compiled.report.target.opset == 13


def test_saved_programs_load_and_compute_the_same(tmp_path: Path) -> None:
    compiled = compile(small(), X, lower=False)
    path = compiled.save(tmp_path / "small.pt2")
    loaded = torch.export.load(path).module()
    with torch.no_grad():
        assert torch.equal(loaded(X), compiled.module(X))
    with pytest.raises(UsageError, match="lower=True"):
        _ = compiled.onnx


def test_dynamic_sizes_survive_saving(tmp_path: Path) -> None:
    network = randomised(nn.Sequential(nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1)))
    compiled = compile(network, shapes=["x:Nx8xHxW"])
    dims = [d.dim_param or d.dim_value for d in compiled.onnx.graph.input[0].type.tensor_type.shape.dim]
    assert dims == ["N", 8, "H", "W"]
    loaded = torch.export.load(compiled.save(tmp_path / "n.pt2")).module()
    image = torch.randn(3, 8, 40, 56)
    with torch.no_grad():
        np.testing.assert_allclose(run(compiled, image.numpy())[0], loaded(image).numpy(), rtol=1e-4, atol=1e-5)


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (compile(model("classifier"), X).onnx.SerializeToString() for _ in range(2))
    assert first == second


def test_normalisation_and_bytes_go_into_the_file() -> None:
    network = randomised(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    mean, std = [120.0, 110.0, 100.0], [60.0, 55.0, 50.0]
    compiled = compile(network, torch.zeros(1, 3, 8, 8), shapes=["x:1x3x8x8:uint8"], mean=mean, std=std)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
    shape = (1, 3, 1, 1)
    floats = (torch.from_numpy(image).float() - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)
    with torch.no_grad():
        np.testing.assert_allclose(run(compiled, image)[0], network(floats).numpy(), rtol=1e-4, atol=1e-4)
    assert [n.op_type for n in compiled.onnx.graph.node] == ["Cast", "Conv", "Relu"]


def test_passes_can_be_chosen() -> None:
    folding = ["FoldBatchNorm", "MergeBranches", "CollapseLinear"]
    assert "BatchNormalization" in {n.op_type for n in compile(small(), X, skip=folding).onnx.graph.node}
    compiled = compile(small(), X, passes="FoldBatchNorm")
    assert [p.name for p in compiled.report.passes] == ["FoldBatchNorm"]
    assert [p.name for p in compile(small(), X, passes=(FoldBatchNorm(),)).report.passes] == ["FoldBatchNorm"]
    with pytest.raises(PipelineError, match="did you mean FoldBatchNorm"):
        compile(small(), X, skip=["FoldBatchNorms"])


def test_unverified_results_say_so() -> None:
    compiled = compile(small(), X, verify=False)
    assert compiled.report.verification == "skipped" and compiled.verification is None
    assert not compiled.report.verify


@dataclass(frozen=True)
class Wrong(RewritePass[Node]):
    """relu(x) -> x: a pass that claims what is not true."""

    def match(self, node: Node) -> Node | Reject | None:
        return node.args[0] if g.is_call(node, aten.relu.default) else None  # type: ignore[return-value]

    def rewrite(self, edit: Edit, found: Node) -> Node:
        return found


def test_a_wrong_pass_is_caught_by_name() -> None:
    with pytest.raises(NotEquivalent, match="Wrong must not change"):
        compile(small(), X, passes=(Wrong(),))


def test_substitutions_are_reported_and_checked() -> None:
    entries = compile(model("attention"), X, opset=13).report.passes
    assert entries[-1].name == "SubstituteOperators"
    assert entries[-1].rewrites and entries[-1].error is not None
    assert "SubstituteOperators" not in {e.name for e in compile(model("attention"), X, opset=20).report.passes}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtypes_no_target_convolves_in_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedByTarget, match="convert the model"):
        compile(small().to(dtype), X.to(dtype))


def test_half_precision_models_keep_their_dtype() -> None:
    compiled = compile(small().half(), X.half())
    assert run(compiled, X.half().numpy())[0].dtype == np.float16


def test_options_that_can_not_be() -> None:
    with pytest.raises(UsageError, match="from 11 to 20"):
        compile(small(), X, opset=9)
    with pytest.raises(UsageError, match="newest that nano imports"):
        compile(small(), X, target="nano", opset=17)
    with pytest.raises(UnknownTarget, match="nano"):
        compile(small(), X, target="nanoo")
    with pytest.raises(UsageError, match="must end in"):
        compile(small(), X).save("model.txt")


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomically(target) as path:
        path.write_bytes(b"half" * (1 // 0))
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]
    with atomically(target) as path:
        path.write_bytes(b"new")
        (path.parent / "out.bin.data").write_bytes(b"extra")
    assert target.read_bytes() == b"new" and (tmp_path / "out.bin.data").read_bytes() == b"extra"
    with pytest.raises(UsageError, match="folder"), atomically(tmp_path / "missing" / "x") as path:
        path.write_bytes(b"")
