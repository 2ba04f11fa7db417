"""Run a PyTorch module, or any callable on tensors, on named arrays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner, TensorSpec


class TorchRunner(Runner):
    """Calls `function` with one tensor an input, in the order of `input_names`, without gradients.

    What it returns is flattened: tuples, lists and dicts in order. `output_names` must be as many as come out; None
    names them `output_0`, `output_1` ... Inputs become tensors of their own dtype, or of `dtype` where they are
    floats and `dtype` is given ("float64").
    """

    name = "torch"

    def __init__(
        self,
        function: Callable[..., Any],
        input_names: Sequence[str],
        output_names: Sequence[str] | None = None,
        *,
        dtype: str | None = None,
    ) -> None:
        self._function = function
        self._output_names = None if output_names is None else tuple(output_names)
        self._dtype = dtype
        self.inputs = tuple(TensorSpec(name) for name in input_names)
        self.outputs = tuple(TensorSpec(name) for name in output_names or ())

    def _activate(self) -> None:
        pass

    def _deactivate(self) -> None:
        pass

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        import torch
        from torch.utils._pytree import tree_leaves

        tensors = [self._promoted(to_tensor(inputs[spec.name])) for spec in self.inputs]
        try:
            with torch.no_grad():
                values = tree_leaves(self._function(*tensors))
        except Exception as error:
            raise RunnerFailed(f"torch must run the model, but: {_first_line(error)}") from error
        return dict(zip(self._names(len(values)), map(to_array, values), strict=True))

    def _promoted(self, tensor: Any) -> Any:
        import torch

        if self._dtype is None or not tensor.is_floating_point():
            return tensor
        return tensor.to(getattr(torch, self._dtype))

    def _names(self, n: int) -> tuple[str, ...]:
        names = self._output_names or tuple(f"output_{i}" for i in range(n))
        if len(names) != n:
            raise RunnerFailed(f"the model must return {len(names)} outputs {list(names)}, returned {n}")
        return names


def to_tensor(array: Array) -> Any:
    """A tensor with a copy of the array; bfloat16 (numpy has it through ml_dtypes) is kept."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array, copy=True))


def to_array(value: Any) -> Array:
    """An array with the values of a tensor or a number; bfloat16 is kept."""
    import torch

    tensor = value.detach().cpu() if isinstance(value, torch.Tensor) else torch.tensor(value)
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        return np.asarray(tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return np.asarray(tensor.numpy())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
