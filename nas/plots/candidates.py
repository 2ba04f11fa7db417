"""What candidates gain and lose in each block, and how well the sum of scores tells the truth."""

from collections.abc import Mapping, Sequence

from scipy.stats import kendalltau

from nascc.nas.plots.canvas import COLOURS, look, new_axes, to_svg

Points = tuple[Sequence[float], Sequence[float]]


def plot_speedups(title: str, blocks: Mapping[str, Points]) -> bytes:
    """Accuracy lost over speed-up of every candidate alone, a colour a block, as SVG (Fig. 3)."""
    with look():
        axes = new_axes(title, width=6.4, height=4.2)
        for number, (name, (speedups, drops)) in enumerate(blocks.items()):
            marker = "ox^s+dv*"[number // len(COLOURS) % 8]
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(speedups, [100 * drop for drop in drops], marker, color=colour, label=name, markersize=4)
        axes.set_xscale("log")
        axes.set_xlabel("speed-up of the block")
        axes.set_ylabel("accuracy lost, points")
        if len(blocks) <= 2 * len(COLOURS):
            axes.legend(frameon=False, fontsize="small", ncols=2)
        return to_svg(axes)


def plot_proxy(title: str, groups: Mapping[str, Points]) -> bytes:
    """The loss of whole students over their mean score as SVG; `groups` have names, tau stands beside each."""
    with look():
        axes = new_axes(title, width=4.8, height=4.2)
        for number, (name, (proxy, real)) in enumerate(groups.items()):
            tau = kendalltau(proxy, real).statistic if len(set(proxy)) > 1 and len(set(real)) > 1 else float("nan")
            axes.plot(proxy, real, ".", color=COLOURS[number], label=f"{name}: Kendall tau {tau:.2f}, n {len(real)}")
        axes.set_xlabel("mean score")
        axes.set_ylabel("loss of the student before fine-tuning")
        axes.legend(frameon=False)
        return to_svg(axes)
