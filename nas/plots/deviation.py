"""How far the weights of each searched kernel spread, its core and its shells apart."""

from collections.abc import Sequence

from nascc.nas.plots.canvas import COLOURS, look, new_axes, to_svg


def plot_deviation(title: str, rows: Sequence[Sequence[float]], slots: Sequence[str] = ()) -> bytes:
    """Standard deviations [slots][core, shell, ...] as SVG (Single-Path NAS, Fig. 6): one line a part of the kernel."""
    parts = max(map(len, rows))
    with look():
        axes = new_axes(title)
        for part in range(parts):
            points = [(slot, row[part]) for slot, row in enumerate(rows) if part < len(row)]
            label = "core" if part == 0 else f"shell {part}"
            axes.plot(*zip(*points, strict=True), color=COLOURS[part % len(COLOURS)], marker=".", label=label)
        axes.set_xticks(range(len(rows)), slots or [str(slot) for slot in range(len(rows))], rotation=90)
        axes.set_xlabel("slot")
        axes.set_ylabel("deviation of kernel weights")
        axes.legend(frameon=False)
        return to_svg(axes)
