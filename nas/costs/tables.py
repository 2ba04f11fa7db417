"""Costs from a table of what each operator of each slot was measured to cost."""

from pathlib import Path

from torch import fx

from nascc.nas.core.space import Space
from nascc.nas.costs.deployment import noted_architecture
from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.pairwise import Pairwise, Rows
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.records import complain, number, read_records
from nascc.nas.costs.units import scale_of
from nascc.nas.errors import SearchError

CONSTANT = "constant"
"""What stands for a slot in the row that tells what all networks have in common."""


class TableCost(PairwiseCost):
    """A sum of one number a slot, `rows[slot][operator]`, and a constant; a graph must say what it came from."""

    def __init__(self, metric: str, rows: Rows, constant: float = 0.0) -> None:
        super().__init__(metric, UNITS[metric], Pairwise.additive(rows, constant))

    def of_graph(self, graph: fx.GraphModule) -> float:
        return self(noted_architecture(graph))


def read_table(path: Path, space: Space, metric: str = "latency") -> TableCost:
    """The table of a CSV file or a JSON list with `slot` (name or number), `operator`, `value`, and maybe `unit`.

    The slot `constant` adds to every network. Every operator of every slot must be there, once.
    Raises BadMeasurements, which names all that is wrong.
    """
    found: dict[tuple[int, int] | str, float] = {}
    problems: list[str] = []
    for row in read_records(path, ("slot", "value")):
        slot, operator = str(row["slot"]), str(row.get("operator") or "")
        try:
            place = CONSTANT if slot == CONSTANT else _place(space, slot, operator)
            scale = scale_of(metric, str(row.get("unit") or UNITS[metric]))
        except SearchError as error:
            problems.append(str(error))
            continue
        if (value := number(row["value"])) is None:
            problems.append(f"the value of {slot} {operator} is '{row['value']}', no number of at least 0")
        elif place in found:
            problems.append(f"{slot} {operator}".strip() + " stands there twice")
        else:
            found[place] = value * scale
    rows, missing = _rows(space, found)
    complain(path, problems or missing)
    return TableCost(metric, rows, found.get(CONSTANT, 0.0))


def _place(space: Space, slot: str, operator: str) -> tuple[int, int]:
    names = [s.name for s in space.slots]
    if slot not in names and not (slot.isdecimal() and int(slot) < len(names)):
        raise SearchError(f"'{slot}' is no slot ({names[0]} to {names[-1]}, 0 to {len(names) - 1}, or {CONSTANT})")
    index = names.index(slot) if slot in names else int(slot)
    known = space.slots[index].names
    if operator not in known:
        raise SearchError(f"'{operator}' is no operator of {slot} ({', '.join(known)})")
    return index, known.index(operator)


def _rows(space: Space, found: dict[tuple[int, int] | str, float]) -> tuple[list[list[float]], list[str]]:
    """The table, and what it lacks."""
    missing = [
        f"{slot.name} {name} is missing"
        for s, slot in enumerate(space.slots)
        for k, name in enumerate(slot.names)
        if (s, k) not in found
    ]
    return [[found.get((s, k), 0.0) for k in range(n)] for s, n in enumerate(space.choices)], missing
