"""Networks that papers print as tables of what is left of each layer, built by the rules of bypass connections."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import fx, nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.data_files import checked
from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.slice import Sliced
from nascc.nas.elastic.space import Chosen
from nascc.nas.elastic.thresholds import Thresholds
from nascc.nas.errors import SearchError
from nascc.nas.regions.teacher import captured_for
from nascc.nas.zoo.mobilenet_v3 import HS, RE, InvertedResidual, Row
from nascc.passes import graph as g

TABLE8 = "netadaptv2_table8.json"
Width = Annotated[int, Field(ge=0)]
POOLS = (torch.ops.aten.adaptive_avg_pool2d.default, torch.ops.aten.mean.dim)
JOINS = (torch.ops.aten.mul.Tensor, torch.ops.aten.add.Tensor)
ACTIVATIONS = {"HS": HS, "RE": RE}


class PublishedRow(BaseModel):
    """A row of such a table: filters that are left, `exp` for a `conv` or `fc`; T, None: no limit."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["conv", "mnv3", "gap", "fc"]
    T: Width | None = None
    kernel: Width | None = None
    stride: Width | None = None
    bn: Width | None = None
    act: str | None = None
    exp: Width | None = None
    dw: Width | None = None
    pw: Width | None = None
    se: Width | None = None


class Published(BaseModel):
    """A table as in `netadaptv2_table8.json`; `mnv3` rows of stride 1 have residuals."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    layers: tuple[PublishedRow, ...]


def read_published(path: Path) -> Published:
    """Raises SearchError where the file is no such table."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SearchError(f"'{path}' must be a JSON table of layers, but: {error}") from error
    found: Published = checked(data, Published, f"the table '{path}'")
    return found


def table8() -> Published:
    """The network that NetAdaptV2 found for 51 ms on a Pixel 1 (Table 8)."""
    return Published.model_validate_json((resources.files("nascc.nas.elastic") / TABLE8).read_text("utf-8"))


def published_graph(table: Published, image: Sequence[int] = (3, 224, 224)) -> fx.GraphModule:
    """The small network in the IR, for images (C, H, W), with random weights.

    An initial network is built around the table, as wide as its widest layers and wherever residuals meet equally
    wide, and then sliced: Z = max(min(C, T), M), depthwise without a limit, residual sums as unions of channels.
    """
    initial = _Initial(table, image[0])
    torch.manual_seed(0)
    module = initial.module().eval()
    graph = captured_for(module, image)
    layout = Layout.of(graph)
    left = initial.left
    given = {layer.name: left[layer.name].threshold for layer in layout.layers if layer.name in left}
    limited = {name: t for name, t in given.items() if t is not None}
    layout = Layout.of(graph, Thresholds(of=limited))
    filters = tuple(left[la.name].filters if la.name in left else la.filters for la in layout.layers)
    kernels = tuple(la.kernels[0] if la.kernels else 0 for la in layout.layers)
    return Sliced(graph, layout, Chosen(filters, kernels)).graph()


@dataclass(frozen=True)
class _Left:
    filters: int
    threshold: int | None


class _Initial:
    """The network that a table is a part of; `left` says what is left of each layer, by its name."""

    def __init__(self, table: Published, channels: int) -> None:
        self.rows, self.channels = table.layers, channels
        self.left: dict[str, _Left] = {}

    def module(self) -> nn.Module:
        widths, parts, c_in, before = self._widths(), list[nn.Module](), self.channels, None
        for number, row in enumerate(self.rows):
            part, c_in = self._part(number, row, c_in, widths.get(number, 1), before)
            before = row.T if row.T is not None else before
            parts.append(part)
        return nn.Sequential(*parts)

    def _widths(self) -> Mapping[int, int]:
        """Output channels of every row: rows that residuals tie together have those of the widest."""
        found: dict[int, int] = {}
        for chain in self._chains():
            found |= dict.fromkeys(chain, max(_widest(self.rows[number]) for number in chain))
        return found

    def _chains(self) -> Iterator[list[int]]:
        chain: list[int] = []
        for number, row in enumerate(self.rows):
            tied = row.type == "mnv3" and (row.stride or 1) == 1 and chain
            if not tied and chain:
                yield chain
                chain = []
            if row.type in ("conv", "mnv3"):
                chain.append(number)
        if chain:
            yield chain

    def _part(self, number: int, row: PublishedRow, c_in: int, width: int, before: int | None) -> tuple[nn.Module, int]:
        if row.type == "gap":
            return nn.AdaptiveAvgPool2d(1), c_in
        if row.type == "fc":
            return nn.Sequential(nn.Flatten(), nn.Linear(c_in, row.exp or 1)), row.exp or 1
        if row.type == "conv":
            return self._conv(number, row, c_in, width), width
        return self._block(number, row, c_in, width, before), width

    def _conv(self, number: int, row: PublishedRow, c_in: int, width: int) -> nn.Module:
        kernel, stride = row.kernel or 1, row.stride or 1
        self.left[f"{number}.0"] = _Left(row.exp or 0, row.T)
        act = ACTIVATIONS.get(row.act or "", "identity")
        if row.bn:
            return ConvNormAct(c_in, width, kernel, stride, act=act)
        activation = nn.Hardswish() if row.act == "HS" else nn.ReLU() if row.act == "RE" else nn.Identity()
        return nn.Sequential(nn.Conv2d(c_in, width, kernel, stride, kernel // 2), activation)

    def _block(self, number: int, row: PublishedRow, c_in: int, width: int, before: int | None) -> nn.Module:
        stride, hidden = row.stride or 1, max(row.exp or 0, row.dw or 0, row.T or 0, before or 0, 1)
        act = ACTIVATIONS.get(row.act or "", HS)
        block = InvertedResidual(c_in, Row(row.kernel or 3, hidden, width, row.se or 0, act, stride), expands=True)
        last = 3 if row.se else 2
        entered = row.T if stride == 1 else before
        self.left[f"{number}.block.0.0"] = _Left(row.exp or 0, entered)
        self.left[f"{number}.block.1.0"] = _Left(row.dw or 0, None)
        self.left[f"{number}.block.{last}.0"] = _Left(row.pw or 0, row.T)
        return block


def _widest(row: PublishedRow) -> int:
    """Channels that may come out of a row: its filters, or what its bypass carries."""
    own = row.pw if row.type == "mnv3" else row.exp
    return max(own or 0, row.T or 0, 1)


def other_macs(graph: fx.GraphModule) -> int:
    """Multiplications and additions beside convolutions and linear layers, as some papers count them too.

    Pooling and scaling of squeeze-and-excitation, residual sums, global pooling: one for each number they read or make.
    """
    calls = graph.graph.nodes
    pools = [node.all_input_nodes[0] for node in calls if node.target in POOLS]
    joins = [node for node in calls if node.target in JOINS]
    return sum(g.value(node).numel() for node in (*pools, *joins))
