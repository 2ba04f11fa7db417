"""The tables of MobileNetV3-Large and of the initial networks of NetAdaptV2, and their builders."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from nascc.nas.zoo.mobilenet_v2 import multiple_of_8
from nascc.nas.zoo.mobilenet_v3 import HS, MobileNetV3, Row, Table
from nascc.nas.zoo.options import Channels, Classes, Seed
from nascc.nas.zoo.seeding import seeded

LARGE = Table(
    stem=16,
    rows=(
        Row(3, 16, 16),
        Row(3, 64, 24, stride=2),
        Row(3, 72, 24),
        Row(5, 72, 40, 24, stride=2),
        *[Row(5, 120, 40, 32)] * 2,
        Row(3, 240, 80, act=HS, stride=2),
        Row(3, 200, 80, act=HS),
        *[Row(3, 184, 80, act=HS)] * 2,
        Row(3, 480, 112, 120, HS),
        Row(3, 672, 112, 168, HS),
        Row(5, 672, 160, 168, HS, 2),
        *[Row(5, 960, 160, 240, HS)] * 2,
    ),
    last=960,
    hidden=1280,
    hidden_conv=False,
    always_expands=False,
)
"""MobileNetV3 (Howard et al. 2019), Table 1, as torchvision builds it."""

SIDES = 256, 256
"""Images that seeding runs: on smaller ones a 7x7 kernel sees little but the border."""

Width = Literal[512, 1024]
Expansions = Annotated[tuple[Width, Width, Width], Field(strict=False)]
EXPANSIONS: tuple[Width, Width, Width] = (512, 1024, 1024)


def power_of_2(expansions: tuple[Width, Width, Width] = EXPANSIONS) -> Table:
    """NetAdaptV2 (Yang et al. 2021), Table 8 before the search: its rows 2 to 18 here are rows 0 to 16.

    MobileNetV3-Large with widths rounded up to powers of two, depthwise kernels two larger, one more block at 28x28
    and at 14x14. Squeeze-and-excitation stands where the published network has it. The one block that the search
    removed (row 12) is given with 0 such channels, where blocks without are given with none: it has 64.
    """
    return Table(
        stem=16,
        rows=(
            Row(5, 16, 16),
            Row(5, 64, 32, 16, stride=2),
            Row(5, 128, 32),
            Row(7, 128, 64, 32, stride=2),
            *[Row(7, 128, 64, 32)] * 3,
            Row(5, 256, 128, 64, HS, 2),
            Row(5, 256, 128, act=HS),
            *[Row(5, 256, 128, 64, HS)] * 2,
            *(Row(5, expanded, 128, 256, HS) for expanded in expansions),
            Row(7, 1024, 256, 256, HS, 2),
            *[Row(7, 1024, 256, 256, HS)] * 2,
        ),
        last=1024,
        hidden=2048,
    )


def widened(table: Table, factor: float = 1.25) -> Table:
    """Every width times `factor`, as a multiple of 8, and the last block once more."""

    def wide(width: int) -> int:
        return width and multiple_of_8(width * factor)

    rows = tuple(
        replace(row, expanded=wide(row.expanded), out=wide(row.out), squeezed=wide(row.squeezed))
        for row in (*table.rows, table.rows[-1])
    )
    return replace(table, stem=wide(table.stem), rows=rows, last=wide(table.last), hidden=wide(table.hidden))


TOY = Table(
    stem=8,
    rows=(
        Row(5, 48, 16),
        Row(5, 96, 16, 24),
        Row(5, 64, 24, stride=2),
        Row(5, 96, 24, act=HS),
        Row(5, 96, 32, act=HS, stride=2),
        Row(5, 128, 32, act=HS),
    ),
    last=64,
)
"""About as large as the largest network of the macro `toy`."""


def mobilenet_v3_large(in_channels: Channels = 3, num_classes: Classes = 1000, seed: Seed = 0) -> nn.Module:
    """MobileNetV3-Large with seeded weights and the parameter names of torchvision."""
    return _seeded(LARGE, in_channels, num_classes, seed)


def mobilenet_v3_pow2(
    expansions: Expansions = EXPANSIONS, in_channels: Channels = 3, num_classes: Classes = 1000, seed: Seed = 0
) -> nn.Module:
    """The network that NetAdaptV2 shrinks for a latency; `expansions` are those of layers 13 to 15."""
    return _seeded(power_of_2(expansions), in_channels, num_classes, seed)


def mobilenet_v3_x125(
    expansions: Expansions = EXPANSIONS, in_channels: Channels = 3, num_classes: Classes = 1000, seed: Seed = 0
) -> nn.Module:
    """The network that NetAdaptV2 shrinks for MACs: 1.25 times as wide, 18 blocks; `expansions` before widening."""
    return _seeded(widened(power_of_2(expansions)), in_channels, num_classes, seed)


TOY_BLOCKS = len(TOY.rows)
Blocks = Annotated[int, Field(ge=1, le=TOY_BLOCKS)]


def netadapt_toy(
    blocks: Blocks = TOY_BLOCKS, in_channels: Channels = 1, num_classes: Classes = 10, seed: Seed = 0
) -> nn.Module:
    """A network to shrink in minutes on a processor, for images of 24 x 24: its first blocks, of 5x5 kernels."""
    table = replace(TOY, rows=TOY.rows[:blocks])
    return seeded(lambda: MobileNetV3(table, in_channels, num_classes), seed, (8, in_channels, 48, 48))


def _seeded(table: Table, in_channels: int, num_classes: int, seed: int) -> nn.Module:
    return seeded(lambda: MobileNetV3(table, in_channels, num_classes), seed, (2, in_channels, *SIDES))
