"""Run an ONNX model in onnxruntime on the CPU."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto

from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner, TensorSpec

_PROTOBUF_LIMIT_BYTES = 2**31 - 1


class OnnxRunner(Runner):
    """onnxruntime on the CPU, deterministic, every graph optimisation on unless `optimize` is false.

    `model` is a path (external data beside it is found), the bytes of a file, or a ModelProto. `threads` 0 leaves the
    number to onnxruntime; idle threads sleep, so that no CPU time goes into waiting. `expose` names values inside the
    graph that are returned beside its outputs.
    """

    name = "onnxruntime"

    def __init__(
        self,
        model: str | Path | bytes | ModelProto,
        *,
        threads: int = 0,
        optimize: bool = True,
        expose: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._threads = threads
        self._optimize = optimize
        self._expose = tuple(expose)
        self._session: Any = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def _activate(self) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                self._source(), self._options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            self._deactivate()
            raise RunnerFailed(f"onnxruntime must load the model, but: {_sentence(error)}") from error
        self.inputs = tuple(_spec(arg) for arg in self._session.get_inputs())
        self.outputs = tuple(_spec(arg) for arg in self._session.get_outputs())

    def _options(self) -> Any:
        import onnxruntime

        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if self._optimize else levels.ORT_DISABLE_ALL
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4
        return options

    def _source(self) -> str | bytes:
        """What the session loads: a path, or bytes; a model above the limit of protobuf goes through a folder."""
        model = self._model
        if isinstance(model, (str, Path)) and not self._expose:
            return str(model)
        if isinstance(model, bytes) and not self._expose:
            return model
        proto = _parsed(model)
        if self._expose:
            proto = _exposing(proto, self._expose)
        if proto.ByteSize() <= _PROTOBUF_LIMIT_BYTES:
            return bytes(proto.SerializeToString())
        self._folder = tempfile.TemporaryDirectory(prefix="nascc-")
        path = Path(self._folder.name) / "model.onnx"
        onnx.save_model(proto, path, save_as_external_data=True, location="model.data")
        return str(path)

    def _deactivate(self) -> None:
        self._session = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        names = [spec.name for spec in self.outputs]
        try:
            values = self._session.run(names, dict(inputs))
        except Exception as error:
            raise RunnerFailed(f"onnxruntime must run the model, but: {_sentence(error)}") from error
        return dict(zip(names, values, strict=True))


def failed_node(message: str) -> str | None:
    """The name of the node that onnxruntime blames, when its message names one."""
    found = re.search(r"(?:Name:|node with name )'([^']+)'", message)
    return found.group(1) if found else None


def _parsed(model: str | Path | bytes | ModelProto) -> ModelProto:
    if isinstance(model, ModelProto):
        return model
    return onnx.load_model_from_string(model) if isinstance(model, bytes) else onnx.load(model)


def _exposing(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """A copy whose outputs are its own, then `names`; onnxruntime infers their types."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    present = {output.name for output in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in dict.fromkeys(names) if n not in present)
    return exposed


def _spec(arg: Any) -> TensorSpec:
    dims = tuple(d if isinstance(d, int) else str(d or "?") for d in arg.shape)
    return TensorSpec(arg.name, dims, _dtype(arg.type))


def _dtype(kind: str) -> np.dtype[np.generic] | None:
    """numpy's dtype of a type that onnxruntime writes as 'tensor(float16)'; None for what is no tensor."""
    found = re.fullmatch(r"tensor\((\w+)\)", kind)
    if found is None:
        return None
    name = {"float": "FLOAT", "double": "DOUBLE"}.get(found.group(1), found.group(1).upper())
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(name)))


def _sentence(error: BaseException) -> str:
    """The first line of a message of onnxruntime, without its error code."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    return " ".join(text.split())[:400]
