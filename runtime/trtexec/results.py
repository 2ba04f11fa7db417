"""Files that trtexec writes: the times of each run, and the values of outputs."""

from collections.abc import Mapping

import numpy as np

from nascc.runtime.errors import DeviceFailed
from nascc.runtime.runners.base import Array, TensorSpec
from nascc.runtime.trtexec.layers import loads


def run_times(text: str) -> list[tuple[float, float]]:
    """(GPU compute, latency with transfers) milliseconds of each run, from a file of `--exportTimes`.

    Raises DeviceFailed for a file without times.
    """
    found = loads(text)
    entries = [e for e in found if isinstance(e, Mapping) and "computeMs" in e] if isinstance(found, list) else []
    times = [(float(e["computeMs"]), float(e.get("latencyMs", e["computeMs"]))) for e in entries]
    if not times:
        raise DeviceFailed("trtexec must write the times of its runs, found none; run it again")
    return times


def outputs(text: str, specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Outputs by name, from a file of `--exportOutput`: [{"name", "dimensions": "1x3", "values": [...]}].

    Values are written with six digits. Raises DeviceFailed where an output is missing or incomplete.
    """
    found = loads(text)
    entries = {str(e.get("name")): e for e in found if isinstance(e, Mapping)} if isinstance(found, list) else {}
    result: dict[str, Array] = {}
    for spec in specs:
        if spec.name not in entries:
            raise DeviceFailed(f"trtexec must write output '{spec.name}', found {', '.join(entries) or 'none'}")
        entry = entries[spec.name]
        dims = [int(d) for d in str(entry.get("dimensions", "")).replace(" ", "").split("x") if d.isdecimal()]
        values = np.array(entry.get("values", []), dtype=np.float64)
        if values.size != int(np.prod(dims)):
            raise DeviceFailed(f"output '{spec.name}' must have {int(np.prod(dims))} values, found {values.size}")
        result[spec.name] = values.reshape(dims).astype(spec.dtype or np.float32)
    return result
