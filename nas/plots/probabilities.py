"""What a search would choose in each slot, as a heat map."""

from collections.abc import Sequence

import numpy as np

from nascc.nas.plots.canvas import look, new_axes, to_svg


def plot_probabilities(
    title: str,
    probabilities: Sequence[Sequence[float]],
    slots: Sequence[str] = (),
    operators: Sequence[Sequence[str]] = (),
) -> bytes:
    """Probabilities [slots][operators] as SVG, one row per slot, each cell with its number and its operator.

    `slots` and `operators` are names, per slot; without them indices stand there. Rows may be ragged.
    """
    columns = max(len(row) for row in probabilities)
    cells = np.full((len(probabilities), columns), np.nan)
    for row, values in enumerate(probabilities):
        cells[row, : len(values)] = values
    alike = len({tuple(names) for names in operators}) == 1
    with look():
        axes = new_axes(title, width=1.6 + 0.8 * columns, height=1.2 + 0.3 * len(cells))
        axes.pcolormesh(np.ma.masked_invalid(cells), cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1)
        for (row, column), value in np.ndenumerate(cells):
            named = column < len(operators[row]) if row < len(operators) else False
            if column < len(probabilities[row]):
                name = f"{operators[row][column]} " if named and not alike else ""
                shade = "white" if value > 0.6 else "black"
                axes.text(column + 0.5, row + 0.5, f"{name}{value:.2f}", ha="center", va="center", color=shade)
        axes.set_yticks(np.arange(len(cells)) + 0.5, slots or [str(row) for row in range(len(cells))])
        axes.set_xticks(np.arange(columns) + 0.5, operators[0] if alike else [str(i) for i in range(columns)])
        axes.invert_yaxis()
        axes.set_xlabel("operator")
        axes.set_ylabel("slot")
        return to_svg(axes)
