"""How plots look, and how they become SVG: the same series give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")
"""Told apart by people who do not see all colours, too (Okabe and Ito)."""
UNITS = {"latency": "ms", "energy": "mJ", "bytes": "bytes", "macs": "MACs", "params": "parameters"}
MOST_POINTS = 1000

Curve = tuple[Sequence[float], Sequence[float]]
"""Steps and values."""
Curves = Mapping[str, Curve]


def look() -> AbstractContextManager[None]:
    """How plots look and how their text is written: as text, with fixed ids."""
    return rc_context(
        {
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "font.size": 9,
            "svg.fonttype": "none",
            "svg.hashsalt": "nascc",
        }
    )


def new_axes(title: str, width: float = 6.4, height: float = 3.6) -> Axes:
    """Empty axes on a figure of their own, sizes in inches."""
    axes = Figure(figsize=(width, height), layout="constrained").add_subplot()
    axes.set_title(title)
    return axes


def to_svg(axes: Axes) -> bytes:
    """The figure of `axes` as an SVG document without dates."""
    figure = axes.figure
    if not isinstance(figure, Figure):
        raise TypeError("axes must stand on a figure of their own")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "nascc"})
    return buffer.getvalue()


def thinned(curve: Curve) -> Curve:
    """At most MOST_POINTS points of a curve, evenly spread, the first and the last among them."""
    steps, values = curve
    if (n := len(steps)) <= MOST_POINTS:
        return steps, values
    chosen = [round(index * (n - 1) / (MOST_POINTS - 1)) for index in range(MOST_POINTS)]
    return [steps[index] for index in chosen], [values[index] for index in chosen]


def with_unit(metric: str) -> str:
    """The label of an axis: 'latency, ms'."""
    unit = UNITS.get(metric)
    return metric if unit is None or unit == metric else f"{metric}, {unit}"
