"""Which operations a search chose, as bars."""

from collections import Counter
from collections.abc import Sequence

from nascc.compiler.report import Block
from nascc.nas.plots.canvas import COLOURS, look, new_axes, to_svg


def plot_operations(title: str, networks: Sequence[Sequence[Block]]) -> bytes:
    """How often each operation was chosen over all blocks of the networks, as SVG, the most frequent first (Fig. 5)."""
    counts = Counter(block.operator for blocks in networks for block in blocks)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    with look():
        axes = new_axes(title, height=1.0 + 0.24 * len(names))
        axes.barh(range(len(names)), [counts[name] for name in names], color=COLOURS[0], height=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("blocks")
        return to_svg(axes)
