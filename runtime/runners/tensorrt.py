"""Run an ONNX model in TensorRT through its Python package, on a GPU of this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nascc.runtime.errors import BuildFailed, RunnerFailed
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.runners.base import Array, Runner, TensorSpec
from nascc.runtime.table import Precision
from nascc.runtime.trtexec.command import is_typed


class TensorRtRunner(Runner):
    """Builds an engine on entry and runs it; `tensorrt` and `torch` with CUDA are imported then.

    `shapes` gives the sizes that the model leaves open. Up to TensorRT 10 `precision` is a flag of the builder, from 11
    on it is that of the graph. Raises RunnerFailed where either package or the GPU is missing, BuildFailed where no
    engine can be made.
    """

    name = "tensorrt"

    def __init__(self, model: Path, shapes: Shapes | None = None, *, precision: Precision = "fp16") -> None:
        self._model, self._shapes, self._precision = model, dict(shapes or {}), precision
        self._trt: Any = None
        self._torch: Any = None
        self._engine: Any = None
        self._context: Any = None

    def _activate(self) -> None:
        self._trt, self._torch = _imported()
        plan = self._built()
        runtime = self._trt.Runtime(self._trt.Logger(self._trt.Logger.ERROR))
        self._engine = runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BuildFailed(f"TensorRT must load the engine of '{self._model}' that it built, but it does not")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        specs = [(name, self._is_input(name), self._spec(name)) for name in names]
        self.inputs = tuple(spec for _, is_input, spec in specs if is_input)
        self.outputs = tuple(spec for _, is_input, spec in specs if not is_input)

    def _deactivate(self) -> None:
        self._context = self._engine = None

    def _is_input(self, name: str) -> bool:
        return bool(self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT)

    def _spec(self, name: str) -> TensorSpec:
        dims = tuple("?" if d < 0 else int(d) for d in self._engine.get_tensor_shape(name))
        return TensorSpec(name, dims, np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name))))

    def _built(self) -> Any:
        """The serialised engine."""
        trt = self._trt
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        typed = is_typed(str(trt.__version__))
        flags = (
            0
            if typed or trt.__version__.startswith("10")
            else 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        )
        network = builder.create_network(flags)
        parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
        if not parser.parse_from_file(str(self._model)):
            why = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise BuildFailed(f"TensorRT must read '{self._model}', but: {' '.join(why.split())[:400]}")
        config = builder.create_builder_config()
        for flag in () if typed else {"fp32": (), "fp16": ("FP16",), "int8": ("INT8", "FP16")}[self._precision]:
            config.set_flag(getattr(trt.BuilderFlag, flag))
        if self._shapes:
            profile = builder.create_optimization_profile()
            for name, dims in self._shapes.items():
                profile.set_shape(name, dims, dims, dims)
            config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise BuildFailed(f"TensorRT must build an engine of '{self._model}', but it does not; see its log")
        return plan

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        torch, context = self._torch, self._context
        held = {}
        for name, array in inputs.items():
            held[name] = torch.from_numpy(np.ascontiguousarray(array)).cuda()
            context.set_input_shape(name, tuple(array.shape))
            context.set_tensor_address(name, held[name].data_ptr())
        for spec in self.outputs:
            kind = torch.from_numpy(np.empty(0, spec.dtype)).dtype
            held[spec.name] = torch.empty(tuple(context.get_tensor_shape(spec.name)), dtype=kind, device="cuda")
            context.set_tensor_address(spec.name, held[spec.name].data_ptr())
        stream = torch.cuda.current_stream()
        if not context.execute_async_v3(stream.cuda_stream):
            raise RunnerFailed(f"TensorRT must run '{self._model}', but it does not")
        stream.synchronize()
        return {spec.name: held[spec.name].cpu().numpy() for spec in self.outputs}


def _imported() -> tuple[Any, Any]:
    """(tensorrt, torch). Raises RunnerFailed."""
    import importlib

    try:
        trt, torch = importlib.import_module("tensorrt"), importlib.import_module("torch")
    except ImportError as error:
        raise RunnerFailed(f"the Python package of TensorRT must be importable here, but: {error}") from error
    if not torch.cuda.is_available():
        raise RunnerFailed("a CUDA device must be there to run TensorRT, torch finds none")
    return trt, torch
