"""A predictor against what it predicts."""

import math
from collections.abc import Sequence

from nascc.nas.plots.canvas import COLOURS, look, new_axes, thinned, to_svg, with_unit


def plot_predictor(title: str, metric: str, predicted: Sequence[float], truth: Sequence[float]) -> bytes:
    """Predicted against true costs of the same networks as SVG, with the line of equality and the error."""
    mean_square = sum((a - b) ** 2 for a, b in zip(predicted, truth, strict=True)) / len(truth)
    low, high = min(*predicted, *truth), max(*predicted, *truth)
    with look():
        axes = new_axes(title, width=4.4, height=4.2)
        axes.plot([low, high], [low, high], color=COLOURS[7], linewidth=1, label="equal")
        found, real = thinned((predicted, truth))
        axes.plot(real, found, ".", color=COLOURS[0], label=f"RMSE {math.sqrt(mean_square):.3g}, n {len(truth)}")
        axes.set_xlabel(f"true {with_unit(metric)}")
        axes.set_ylabel(f"predicted {with_unit(metric)}")
        axes.legend(frameon=False)
        return to_svg(axes)
