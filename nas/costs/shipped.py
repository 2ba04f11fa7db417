"""Latencies measured by others on devices that are not at hand, which come with nascc for the macro they hold for."""

import csv
import re
from importlib import resources

from nascc.nas.costs.tables import TableCost
from nascc.nas.errors import SearchError
from nascc.nas.macro import Macro, load_macro
from nascc.nas.spaces import MacroSpace

PIXEL1 = "pixel1"
SHIPPED = (PIXEL1,)
PIXEL1_CONSTANT_MS = 19.5999
"""Stem, head and the fixed blocks 0 and 21 together (Single-Path NAS, released code)."""
_COLUMN = re.compile(r"k(\d)_e(\d)_ms.*")


def shipped_table(name: str, space: MacroSpace) -> TableCost:
    """The table of a name, for the networks of `space`. Raises SearchError where it was measured on others."""
    if name != PIXEL1:
        raise SearchError(f"a shipped table of costs must be one of {', '.join(SHIPPED)}, got '{name}'")
    _require_singlepath(space)
    measured = _read()
    rows = [[measured[s + 1].get(op, 0.0) for op in slot.names] for s, slot in enumerate(space.slots)]
    return TableCost("latency", rows, PIXEL1_CONSTANT_MS)


def _require_singlepath(space: MacroSpace) -> None:
    """Raise SearchError unless the space has the blocks, the input and the operators of the table."""
    wanted = load_macro("singlepath")
    known = {*wanted.operators}
    unknown = [name for name in dict.fromkeys(n for slot in space.slots for n in slot.names) if name not in known]
    if unknown or _skeleton(space.macro) != _skeleton(wanted) or space.input_shape != wanted.input:
        what = f"operators {', '.join(unknown)}" if unknown else f"'{space.macro.name}' at {list(space.input_shape)}"
        raise SearchError(
            f"the cost 'pixel1' must be asked about the macro 'singlepath' at [3, 224, 224] with "
            f"{', '.join(wanted.operators)}, got {what}; use --macro singlepath --shapes 1x3x224x224"
        )


def _skeleton(macro: Macro) -> tuple[object, ...]:
    return macro.stem, macro.stages, macro.head.channels, macro.head.hidden, macro.skip, macro.activation


def _read() -> list[dict[str, float]]:
    """By block: operator name -> ms on a Pixel 1, batch 1."""
    text = (resources.files("nascc.runtime.data") / "pixel1_mbconv_blocks.csv").read_text("utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        cells = ((_COLUMN.fullmatch(name), value) for name, value in row.items())
        found.append({f"k{match[1]}e{match[2]}": float(value) for match, value in cells if match is not None})
    return found
