"""What every runner is: a context manager that maps named arrays to named arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from nascc.runtime.errors import RunnerFailed

Array: TypeAlias = NDArray[np.generic]


@dataclass(frozen=True)
class TensorSpec:
    """A named input or output: each dimension a size, or the name of a dynamic one; `dtype` None is any dtype."""

    name: str
    dims: tuple[int | str, ...] | None = None
    dtype: np.dtype[np.generic] | None = None

    def problems(self, array: Array) -> list[str]:
        """What is wrong with `array` as this tensor, one sentence each."""
        found = []
        if self.dtype is not None and array.dtype != self.dtype:
            found.append(f"dtype of input '{self.name}' must be {self.dtype.name}, got {array.dtype.name}")
        if self.dims is not None and not self._fits(array.shape):
            found.append(f"shape of input '{self.name}' must be {self.shown_dims}, got {list(array.shape)}")
        return found

    @property
    def shown_dims(self) -> str:
        """The shape as a list, dynamic sizes by name."""
        return "[" + ", ".join(str(d) for d in self.dims or ()) + "]"

    def _fits(self, shape: Sequence[int]) -> bool:
        assert self.dims is not None
        return len(shape) == len(self.dims) and all(
            isinstance(d, str) or d == n for d, n in zip(self.dims, shape, strict=True)
        )


class Runner(ABC):
    """Loads a model on entry, frees it on exit, and runs it in between.

    `inputs` and `outputs` describe the model while the runner is active.
    """

    name = "runner"
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    _active = False

    def __enter__(self) -> Self:
        self._activate()
        self._active = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        self._deactivate()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once. Raises RunnerFailed on inputs that do not fit, and with the cause when the model itself fails."""
        if not self._active:
            raise RunnerFailed(f"{self.name} must be active to run; use it in a 'with' statement")
        self._check(inputs)
        return self._run(inputs)

    def _check(self, inputs: Mapping[str, Array]) -> None:
        """Report every violation at once."""
        known = {spec.name: spec for spec in self.inputs}
        found = [f"input '{name}' is missing" for name in known if name not in inputs]
        found += [f"'{name}' is no input, inputs are {list(known)}" for name in inputs if name not in known]
        for name, array in inputs.items():
            found += known[name].problems(array) if name in known else []
        if found:
            raise RunnerFailed(f"{self.name}: " + "; ".join(found))

    @abstractmethod
    def _activate(self) -> None: ...

    @abstractmethod
    def _deactivate(self) -> None: ...

    @abstractmethod
    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...
