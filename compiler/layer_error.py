"""How far the value of a layer in a narrow type is from float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from nascc.runtime.compare import compare_output
from nascc.runtime.runners.base import Array


@dataclass(frozen=True)
class LayerError:
    """How far the value of a layer is from float64: relative to its largest value, and as signal to noise in dB."""

    node: str
    operator: str
    relative: float
    snr_db: float
    largest: float
    single: bool

    def entry(self) -> dict[str, JsonValue]:
        """The same as plain data."""
        return {"layer": self.node, "operator": self.operator, "error": self.relative, "snr_db": self.snr_db,
                "largest": self.largest, "precision": "fp32" if self.single else "fp16"}  # fmt: skip


def layer_error(node: str, operator: str, pairs: Sequence[tuple[Array, Array]], single: bool) -> LayerError:
    """The worst of several pairs of a value in float64 and as it is deployed."""
    results = [compare_output("", e, r, float("inf"), dtype=r.dtype) for e, r in pairs]
    relative = max(float("inf") if not r or r.max_rel is None else r.max_rel for r in results)
    snr = min(-float("inf") if not r or r.snr_db is None else r.snr_db for r in results)
    largest = max(float(np.abs(e).max(initial=0.0)) for e, _ in pairs)
    return LayerError(node, operator, relative, snr, largest, single)
