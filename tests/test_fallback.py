"""Networks with operators that nascc does not write, through torch's own exporter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from kit import ir, outputs, relative_error
from nascc.compiler import fallback
from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.fallback import export_foreign
from nascc.passes import from_exported
from nascc.runtime.profile import ir_version_of

pytest.importorskip("onnxscript", exc_type=ImportError)

X = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A convolution, a GELU and a layer norm in front of an operator that nascc does not write."""

    def __init__(self, foreign: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU())
        self.norm = nn.LayerNorm(8)
        self.foreign = foreign

    def forward(self, x: Tensor) -> Any:
        return self.foreign(self.norm(self.stem(x)))


def diagonal(x: Tensor) -> Tensor:
    return x.diagonal(0, 2, 3)


def finite(x: Tensor) -> Tensor:
    return torch.nan_to_num(1 / x.relu())


def summed(x: Tensor) -> Tensor:
    return x.logcumsumexp(1)


def largest(x: Tensor) -> Tensor:
    return x.scatter_reduce(1, torch.zeros(3, 4, 8, 8, dtype=torch.int64), x, "amax")


def run(model: ModelProto, *inputs: Tensor) -> tuple[Tensor, ...]:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    named = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
    return tuple(torch.from_numpy(np.asarray(v)).double() for v in session.run(None, named))


@pytest.mark.parametrize(
    ("foreign", "opset"),
    [(diagonal, 11), (summed, 13), (finite, 17), (largest, 20)],
    ids=lambda v: v if isinstance(v, int) else v.__name__,
)
def test_writes_the_opset_asked_for(foreign: Callable[[Tensor], Tensor], opset: int) -> None:
    gm = ir(Net(foreign), X)
    model = export_foreign(gm, opset=opset)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]
    assert model.ir_version == ir_version_of(opset)
    assert not model.functions
    assert relative_error(outputs(gm, [X]), run(model, X)) < 1e-5


def test_names_follow_the_modules_and_nothing_is_told_of_the_machine() -> None:
    model = export_foreign(ir(Net(diagonal), X), opset=13)
    names = [node.name for node in model.graph.node]
    assert names[0] == "stem.0/conv"
    assert {"stem.1/erf", "norm/sqrt"} <= set(names)
    assert len(set(names)) == len(names)
    assert b".py" not in model.SerializeToString()
    assert not model.metadata_props


def test_a_dynamic_batch_keeps_its_letter() -> None:
    batch: dict[int, Any] = {0: torch.export.Dim("batch")}
    gm = ir(Net(diagonal), X, dynamic=(batch,))
    model = export_foreign(gm, opset=13, input_dims={"x": ("N", 4, 8, 8)})
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "N"
    more = torch.cat([X, -X])
    assert relative_error(outputs(gm, [more]), run(model, more)) < 1e-5


class Diagonal(nn.Module):
    """Nothing but an operator that nascc does not write."""

    def forward(self, x: Tensor) -> Tensor:
        return diagonal(x)


class Median(nn.Module):
    """An operator that torch's exporter does not write either."""

    def forward(self, x: Tensor) -> Tensor:
        return x.median(1)[0]


class Determinant(nn.Module):
    """An operator that torch's exporter writes wrongly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.det(x)


class Nested(nn.Module):
    """Several inputs and a dictionary of results."""

    def forward(self, pair: dict[str, Tensor], flag: bool) -> dict[str, Any]:
        return {"sum": diagonal(pair["a"] + pair["b"]), "rest": [F.relu(pair["b"]), None]}


def test_inputs_and_outputs_keep_their_names() -> None:
    program = torch.export.export(Nested(), ({"a": X, "b": X.relu()}, True), strict=False)
    gm = from_exported(program)
    signature = gm.meta["signature"]
    model = export_foreign(gm, opset=17)
    assert tuple(v.name for v in model.graph.input) == signature.input_names
    assert tuple(v.name for v in model.graph.output) == signature.output_names
    assert relative_error(outputs(gm, [X, X.relu()]), run(model, X, X.relu())) < 1e-6


def test_the_same_graph_gives_the_same_bytes_and_is_left_alone() -> None:
    gm = ir(nn.Sequential(nn.GELU(), Diagonal()), X)
    before = str(gm.graph), gm.meta["signature"]
    first, second = (export_foreign(gm, opset=13).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert (str(gm.graph), gm.meta["signature"]) == before


def test_an_operator_the_opset_lacks_is_named() -> None:
    with pytest.raises(
        UnsupportedByTarget, match=r"opset 13.*ScatterElements 'scatter_elements' has no attribute reduction"
    ):
        export_foreign(ir(Net(largest), X), opset=13)


def test_an_operator_that_torch_can_not_write_is_named() -> None:
    with pytest.raises(UnsupportedByTarget, match=r"exporter failed: .*aten.median"):
        export_foreign(ir(Median(), X), opset=18)


def test_a_file_that_torch_writes_wrongly_is_refused() -> None:
    with pytest.raises(UnsupportedByTarget, match="SequenceAt"):
        export_foreign(ir(Determinant(), X), opset=18)


def test_a_missing_exporter_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setattr(torch.onnx, "export", missing)
    with pytest.raises(UnsupportedByTarget, match=r"needs onnxscript; `pip install nascc\[fallback\]`"):
        export_foreign(ir(Net(diagonal), X), opset=18)


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_what_the_exporter_returns_is_checked(domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opset other than the one asked for, and operators of another domain, never get through."""
    node = helper.make_node("Relu", ["x"], ["output"], domain=domain)
    graph = helper.make_graph([node], "net", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("local", 1)])
    monkeypatch.setattr(fallback, "_export", lambda *_: model)
    reason = "must write opset 20, found 18" if not domain else "default domain, found com.microsoft.Relu"
    with pytest.raises(UnsupportedByTarget, match=reason):
        export_foreign(ir(nn.ReLU(), X), opset=20)
