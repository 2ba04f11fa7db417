"""Run one model under the input and output names of another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner


class RenamedRunner(Runner):
    """Another runner, with other names: matched by name where the names are the same in any order, else by position.

    Raises RunnerFailed on entry when the numbers of inputs or outputs differ.
    """

    def __init__(self, inner: Runner, input_names: Sequence[str], output_names: Sequence[str]) -> None:
        self.name = inner.name
        self._inner = inner
        self._wanted = tuple(input_names), tuple(output_names)
        self._input_of: dict[str, str] = {}

    def _activate(self) -> None:
        self._inner.__enter__()
        try:
            found = tuple(spec.name for spec in self._inner.inputs)
            self._input_of = _matched("inputs", self._wanted[0], found)
        except RunnerFailed:
            self._inner.__exit__(None, None, None)
            raise
        specs = {spec.name: spec for spec in self._inner.inputs}
        self.inputs = tuple(replace(specs[inner], name=name) for name, inner in self._input_of.items())

    def _deactivate(self) -> None:
        self._inner.__exit__(None, None, None)

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = self._inner.run({self._input_of[name]: array for name, array in inputs.items()})
        output_of = _matched("outputs", self._wanted[1], tuple(outputs))
        return {name: outputs[inner] for name, inner in output_of.items()}


def _matched(what: str, wanted: tuple[str, ...], found: tuple[str, ...]) -> dict[str, str]:
    if len(wanted) != len(found):
        raise RunnerFailed(f"there must be {len(wanted)} {what} {list(wanted)}, got {len(found)} {list(found)}")
    return dict(zip(wanted, wanted if set(wanted) == set(found) else found, strict=True))
