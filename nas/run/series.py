"""Curves from a journal: everything a phase logged over its steps.

Plots know these names: a metric such as `latency` (ms) beside `latency_limit`, `lambda`, everything that ends in
`loss` or `accuracy`, `probabilities` (one row per slot, one column per operator), `predicted` beside `truth`,
`deviation` (one row per slot: core and shells of its kernel).
"""

from collections.abc import Iterable
from typing import Any

from nascc.compiler.report import Series
from nascc.nas.run.journal import Line

NO_VALUES = ("phase", "step")
PARTS = ("part", "network")
"""What tells loops of one phase apart."""


def collect(lines: Iterable[Line]) -> tuple[Series, ...]:
    """A series for every name that holds numbers or lists of them; parts and networks count as phases 'phase/part'."""
    found: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
    for line in lines:
        if not isinstance(step := line.get("step"), int):
            continue
        phase = "/".join([line["phase"], *(line[part] for part in PARTS if isinstance(line.get(part), str))])
        for name, value in line.items():
            if name not in NO_VALUES and _numeric(value):
                steps, values = found.setdefault((phase, name), ([], []))
                steps.append(step)
                values.append(value)
    return tuple(
        Series(phase=phase, name=name, steps=tuple(steps), values=tuple(values))
        for (phase, name), (steps, values) in found.items()
    )


def _numeric(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_numeric(item) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool)
