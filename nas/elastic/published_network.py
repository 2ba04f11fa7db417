"""The network that a published table is a part of: as wide as its widest layers, equally wide where rows meet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nascc.nas.blocks.activations import activation
from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.elastic.bypass import alive
from nascc.nas.elastic.published_table import Published, PublishedRow
from nascc.nas.errors import SearchError
from nascc.nas.zoo.mobilenet_v3 import HS, RE, InvertedResidual, Row

HEAD = "head"
"""What reads the last map where no layer of the table makes the output."""
ACTIVATIONS = {"HS": HS, "RE": RE, "RE6": "relu6", None: "identity"}
OUTPUTS = ("conv", "pw", "fc")
"""Rows that may make the output of a network."""


@dataclass(frozen=True)
class Left:
    """M and T of a layer; None: no limit."""

    filters: int
    threshold: int | None

    def limit(self, full: int) -> int:
        """T as a number, for a layer of so many filters: no limit is one that it can not reach."""
        return full if self.threshold is None else self.threshold


@dataclass(frozen=True)
class Map:
    """What a row gives: `channels` are left; `hidden` of them are left between the layers of an inverted residual;
    `sides` (H, W), None of vectors.
    """

    channels: int
    sides: tuple[int, int] | None
    hidden: int = 0


class PublishedNetwork(nn.Module):
    """Images [N, C, H, W] -> what the last row gives; `left` says what is left of each layer, by its name.

    Where a row makes no output of its own, a 1x1 convolution `HEAD` to one channel stands behind it (`has_head`), so
    that no layer has to stay whole as the output of the network. Raises SearchError.
    """

    def __init__(self, table: Published, image: Sequence[int]) -> None:
        super().__init__()
        self.left: dict[str, Left] = {}
        plan = _Plan(table.layers, image)
        self.added = {number: row.row for number, row in enumerate(table.layers, 1) if row.row is not None}
        self.rows = nn.ModuleList(self._part(number, row, plan) for number, row in enumerate(table.layers, 1))
        self.has_head = table.layers[-1].type not in OUTPUTS
        if self.has_head:
            self.add_module(HEAD, nn.Conv2d(plan.widths[len(table.layers)], 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        found = [x]
        for number, row in enumerate(self.rows, 1):
            x = row(x) if number not in self.added else x + found[self.added[number]]
            found.append(x)
        return self.get_submodule(HEAD)(x) if self.has_head else x

    def _part(self, number: int, row: PublishedRow, plan: "_Plan") -> nn.Module:
        c_in, width, before = plan.widths[number - 1], plan.widths[number], plan.maps[number - 1]
        name = f"rows.{number - 1}"
        if row.type == "mnv3":
            return self._block(name, row, c_in, width, plan, number)
        if row.type == "gap":
            return nn.AdaptiveAvgPool2d(1)
        if row.type == "up":
            return nn.Upsample(scale_factor=2, mode="nearest")
        if row.type == "add":
            return nn.Identity()
        limit = plan.limit(number)
        if row.type == "fc":
            self.left[f"{name}.1"] = Left(row.filters, limit)
            height, wide = before.sides or (1, 1)
            return nn.Sequential(nn.Flatten(), nn.Linear(c_in * height * wide, width), *_activation(row))
        self.left[f"{name}.0"] = Left(min(row.filters, width), limit)
        return _conv(row, c_in, width)

    def _block(self, name: str, row: PublishedRow, c_in: int, width: int, plan: "_Plan", number: int) -> nn.Module:
        expands = row.exp is not None
        hidden = max(plan.maps[number].hidden, row.dw or 0) if expands else c_in
        of_zoo = Row(row.kernel or 1, hidden, width, row.se or 0, ACTIVATIONS[row.act], row.step)
        block = InvertedResidual(c_in, of_zoo, expands)
        block.residual = row.adds
        names = [f"{name}.block.{k}.0" for k, part in enumerate(block.block) if isinstance(part, nn.Sequential)]
        if expands:
            self.left[names[0]] = Left(row.exp or 0, plan.entered(number))
        self.left[names[-2]] = Left(min(row.dw or 0, hidden), None)
        self.left[names[-1]] = Left(row.pw or 0, plan.limit(number))
        return block


def _conv(row: PublishedRow, c_in: int, width: int) -> nn.Module:
    kernel, groups = row.kernel or 1, c_in if row.type == "dw" else 1
    if row.bn:
        return ConvNormAct(c_in, width, kernel, row.step, groups, ACTIVATIONS[row.act])
    return nn.Sequential(nn.Conv2d(c_in, width, kernel, row.step, kernel // 2, groups=groups), *_activation(row))


def _activation(row: PublishedRow) -> Iterator[nn.Module]:
    if row.act is not None:
        yield activation(ACTIVATIONS[row.act])


class _Plan:
    """What every row gives, and how wide it has to be; row 0 is the image."""

    def __init__(self, rows: Sequence[PublishedRow], image: Sequence[int]) -> None:
        self.rows = rows
        self.maps = [Map(image[0], (image[1], image[2]))]
        self.group = list(range(len(rows) + 1))
        for number, row in enumerate(rows, 1):
            self.maps.append(self._map(number, row, self.maps[-1]))
            self._tie(number, row)
        self.widths = self._widths()

    def limit(self, number: int) -> int | None:
        """T of the layer of a row, the last one of a block."""
        return 0 if number == len(self.rows) and self.rows[-1].type in OUTPUTS else self.rows[number - 1].T

    def entered(self, number: int) -> int | None:
        """T of the resolution that a block reads: its own, or that of the last rows before it."""
        row = self.rows[number - 1]
        if row.step == 1:
            return row.T
        before = [other.T for other in self.rows[: number - 1] if other.type in ("conv", "pw", "mnv3")]
        return before[-1] if before else row.T

    def _map(self, number: int, row: PublishedRow, x: Map) -> Map:
        if row.type == "fc":
            return Map(self._kept(number, x.channels, self.limit(number), row.filters), None)
        if x.sides is None:
            raise _refused(number, row, "must read a map, but a linear layer before it gives vectors")
        if row.type == "gap":
            return Map(x.channels, (1, 1))
        if row.type == "up":
            return Map(x.channels, (2 * x.sides[0], 2 * x.sides[1]))
        if row.type == "add":
            return self._sum(number, row, x)
        sides = (-(-x.sides[0] // row.step), -(-x.sides[1] // row.step))
        if row.type != "mnv3":
            filters = min(row.filters, x.channels) if row.type == "dw" else row.filters
            return Map(self._kept(number, x.channels, self.limit(number), filters), sides)
        return self._block(number, row, x, sides)

    def _block(self, number: int, row: PublishedRow, x: Map, sides: tuple[int, int]) -> Map:
        if row.adds and not (row.exp or row.dw or row.pw):
            return Map(x.channels, sides, hidden=max(1, x.channels))
        hidden = x.channels
        if row.exp is not None:
            hidden = self._kept(number, hidden, self.entered(number), row.exp)
        out = self._kept(number, hidden, self.limit(number), row.pw or 0)
        return Map(max(x.channels, out) if row.adds else out, sides, hidden)

    def _kept(self, number: int, inputs: int, limit: int | None, filters: int) -> int:
        """Z of a layer. Raises SearchError where nothing is left."""
        total = alive(inputs, limit, inputs, filters)
        if not total:
            raise _refused(number, self.rows[number - 1], "must keep a filter, since no channel bypasses it")
        return total

    def _sum(self, number: int, row: PublishedRow, x: Map) -> Map:
        assert row.row is not None
        if row.row >= number:
            raise _refused(number, row, f"must add a row before it, got row {row.row}")
        other = self.maps[row.row]
        if other.sides != x.sides:
            raise _refused(number, row, f"must add a map of {_size(x)}, but row {row.row} gives {_size(other)}")
        return Map(max(x.channels, other.channels), x.sides)

    def _tie(self, number: int, row: PublishedRow) -> None:
        """Rows that only pass channels on, and those that meet in sums, are equally wide."""
        if row.type in ("dw", "gap", "up", "add") or (row.type == "mnv3" and row.adds):
            self._join(number, number - 1)
        if row.row is not None:
            self._join(number, row.row)

    def _join(self, one: int, other: int) -> None:
        old, new = self.group[one], self.group[other]
        self.group = [new if name == old else name for name in self.group]

    def _widths(self) -> Sequence[int]:
        widest: Mapping[int, int] = {
            name: max(m.channels for m, own in zip(self.maps, self.group, strict=True) if own == name)
            for name in set(self.group)
        }
        widths = [widest[name] for name in self.group]
        if widths[0] > self.maps[0].channels:
            tied = [k for k, name in enumerate(self.group) if name == self.group[0]]
            number = next(k for k in tied if self.maps[k].channels > self.maps[0].channels)
            problem = "can not add the image itself; begin with a convolution, or say that 'residual' is false"
            raise _refused(number, self.rows[number - 1], problem)
        return widths


def _size(x: Map) -> str:
    return "no sides" if x.sides is None else "x".join(map(str, x.sides))


def _refused(number: int, row: PublishedRow, problem: str) -> SearchError:
    return SearchError(f"row {number} of the table ({row.type}) {problem}")
