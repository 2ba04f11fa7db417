"""Curves over the steps of a phase: a cost against its budget, losses, lambda, accuracies."""

from collections.abc import Sequence

from nascc.nas.plots.canvas import COLOURS, Curve, Curves, look, new_axes, thinned, to_svg, with_unit


def plot_curves(title: str, curves: Curves, label: str) -> bytes:
    """Named curves over their steps as SVG; `label` says what the values are."""
    with look():
        axes = new_axes(title)
        for colour, (name, curve) in zip(_colours(len(curves)), curves.items(), strict=True):
            axes.plot(*thinned(curve), color=colour, label=name, marker="." if len(curve[0]) == 1 else "")
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        if len(curves) > 1:
            axes.legend(frameon=False)
        return to_svg(axes)


def plot_budget(title: str, metric: str, cost: Curve, limit: Curve | None) -> bytes:
    """A cost over the steps of a search and the limit it must keep, as SVG; the limit holds until the next one."""
    with look():
        axes = new_axes(title)
        steps, values = thinned(cost)
        axes.plot(steps, values, color=COLOURS[0], label=metric, marker="." if len(steps) == 1 else "")
        if limit is not None:
            last = max(max(steps), *limit[0])
            axes.step([*limit[0], last], [*limit[1], limit[1][-1]], where="post", color=COLOURS[1], label="limit")
        axes.set_xlabel("step")
        axes.set_ylabel(with_unit(metric))
        axes.legend(frameon=False)
        return to_svg(axes)


def _colours(n: int) -> Sequence[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(n)]
