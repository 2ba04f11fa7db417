"""A network as a chart: one bar per operator, as long as it has channels."""

from collections.abc import Sequence

from nascc.compiler.report import Block
from nascc.nas.plots.canvas import COLOURS, look, new_axes, to_svg


def plot_architecture(title: str, blocks: Sequence[Block]) -> bytes:
    """Operators from top to bottom as SVG: names, output channels as lengths, resolutions; searched ones coloured."""
    operators = list(dict.fromkeys(block.operator for block in blocks if block.searched))
    colours = {name: COLOURS[index % (len(COLOURS) - 1)] for index, name in enumerate(operators)}
    widest = max(block.c_out for block in blocks)
    with look():
        axes = new_axes(title, width=6.4, height=1.0 + 0.24 * len(blocks))
        for row, block in enumerate(blocks):
            axes.barh(row, block.c_out, color=colours[block.operator] if block.searched else COLOURS[7], height=0.8)
            axes.text(block.c_out + 0.01 * widest, row, _words(block), va="center")
        axes.set_yticks(range(len(blocks)), [block.name for block in blocks])
        axes.set_xlim(0, 1.6 * widest)
        axes.invert_yaxis()
        axes.set_xlabel("output channels")
        return to_svg(axes)


def _words(block: Block) -> str:
    stride = f", stride {block.stride}" if block.stride > 1 else ""
    return f"{block.operator}  {block.c_in} to {block.c_out} at {block.height}×{block.width}{stride}"
