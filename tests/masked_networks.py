"""Networks whose channels are masked and bypassed, and by hand the small ones that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import randomised

FORMS = ("mul", "where", "cat", "pad", "expression", "bool", "expanded", "fill", "scatter")
ACTS = (F.relu, F.hardswish, F.silu, F.relu6)


@dataclass(frozen=True)
class Layer:
    """`kept` of `full` filters; inputs that none replaces go by, up to `budget` of them (None: all)."""

    full: int
    kept: int
    budget: int | None = 0
    kernel: int = 3
    stride: int = 1
    depthwise: bool = False
    form: str = "mul"
    act: int = 0
    norm: bool = True

    def alive(self, inputs: int) -> int:
        """How many channels come out, of so many that come in."""
        return max(self.bypassed(inputs), self.own(inputs))

    def bypassed(self, inputs: int) -> int:
        """How many inputs may go by."""
        return inputs if self.budget is None else min(inputs, self.budget)

    def own(self, inputs: int) -> int:
        """How many filters are left: of a depthwise convolution only those of inputs that are."""
        return min(self.kept, inputs) if self.depthwise else self.kept

    def width(self, inputs: int) -> int:
        """Channels of the masked tensor."""
        return max(self.full, self.bypassed(inputs))


@dataclass(frozen=True)
class Block:
    """Layers in a row, with squeeze-and-excitation before the last, and the input added; `removed`: the input alone."""

    layers: tuple[Layer, ...]
    gate: int = 0
    residual: bool = False
    removed: bool = False


@dataclass(frozen=True)
class Spec:
    """Blocks, and perhaps a head on the means of the channels."""

    blocks: tuple[Block, ...]
    inputs: int = 4
    head: int = 0
    seed: int = 0
    outputs: int = field(default=3)


class Weights(nn.Module):
    """Convolution and batch norm of one layer, of the full width."""

    def __init__(self, layer: Layer, inputs: int) -> None:
        super().__init__()
        full = inputs if layer.depthwise else layer.full
        groups = inputs if layer.depthwise else 1
        k = layer.kernel
        self.conv = nn.Conv2d(inputs, full, k, layer.stride, k // 2, groups=groups, bias=not layer.norm)
        self.bn = nn.BatchNorm2d(full) if layer.norm else nn.Identity()


class MaskedLayer(nn.Module):
    """m * act(bn(conv(x))) + (1 - m) * bypass, for a mask of the first channels, in one of many forms."""

    def __init__(self, layer: Layer, inputs: int, alive: int) -> None:
        super().__init__()
        self.layer = replace(layer, full=inputs) if layer.depthwise else layer
        self.weights, self.own = Weights(layer, inputs), layer.own(alive)
        width, passed = self.layer.width(inputs), self.layer.bypassed(inputs)
        channels = torch.arange(width)
        self.register_buffer(
            "mask", (channels < self.own).to(torch.float64 if layer.form == "expanded" else torch.float32)
        )
        self.register_buffer("kept", torch.tensor(self.own))
        self.width, self.passed = width, passed

    def forward(self, x: Tensor) -> Tensor:
        y = ACTS[self.layer.act](self.weights.bn(self.weights.conv(x)))
        beside = x[:, : self.passed] if self.passed < x.shape[1] else x
        if self.layer.stride == 2:
            beside = beside[:, :, ::2, ::2]
        return self.mixed(more_channels(y, self.width), more_channels(beside, self.width))

    def mixed(self, y: Tensor, beside: Tensor) -> Tensor:
        m, form, own = self.mask.reshape(1, -1, 1, 1), self.layer.form, self.own
        if form == "where":
            return torch.where(m > 0, y, beside)
        if form == "bool":
            return y * (m > 0) + beside * ~(m > 0)
        if form == "fill":
            return y.masked_fill(m == 0, 0.0) + torch.where(m > 0, 0.0, beside)
        if form == "cat":
            return torch.cat([y[:, :own], beside[:, own:]], 1)
        if form == "pad":
            after = F.pad(beside[:, own:], (0, 0, 0, 0, own, 0))
            return F.pad(y[:, :own], (0, 0, 0, 0, 0, self.width - own)) + after
        if form == "scatter":
            z = beside.clone()
            z[:, :own] = y[:, :own]
            return z
        if form == "expression":
            m = (torch.arange(self.width) < self.kept).to(y.dtype).reshape(1, -1, 1, 1)
        if form == "expanded":
            m = m.to(y.dtype).expand_as(y)
        return m * y + (1 - m) * beside


class MaskedBlock(nn.Module):
    """A block of masked layers; what is added to its input is multiplied by nothing where it is removed."""

    def __init__(self, block: Block, inputs: int, alive: int) -> None:
        super().__init__()
        self.block, layers = block, []
        for layer in block.layers:
            layers.append(MaskedLayer(layer, inputs, alive))
            inputs, alive = layers[-1].width, layer.alive(alive)
        self.layers = nn.ModuleList(layers)
        gated = layers[-1].weights.conv.in_channels
        self.gate = Gate(gated, block.gate) if block.gate else nn.Identity()
        self.register_buffer("present", torch.tensor(0.0 if block.removed else 1.0))
        self.width, self.alive = inputs, alive

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.layers[:-1]:
            y = layer(y)
        y = self.layers[-1](self.gate(y))
        if not self.block.residual:
            return y
        width = max(x.shape[1], y.shape[1])
        return more_channels(x, width) + self.present * more_channels(y, width)


class Gate(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, hidden, 1), nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


def more_channels(x: Tensor, width: int) -> Tensor:
    """The tensor with channels of zeros up to a width."""
    missing = width - x.shape[1]
    return F.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x


class Masked(nn.Module):
    """The network of a spec with masks."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        blocks, width, alive = [], spec.inputs, spec.inputs
        for block in spec.blocks:
            blocks.append(MaskedBlock(block, width, alive))
            residual = block.residual
            alive = alive if block.removed else max(alive if residual else 0, blocks[-1].alive)
            width = max(width if residual else 0, blocks[-1].width)
        self.blocks, self.alive = nn.Sequential(*blocks), alive
        self.head = nn.Linear(width, spec.head) if spec.head else nn.Conv2d(width, spec.outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(x)
        return self.head(y.mean((2, 3)) if isinstance(self.head, nn.Linear) else y)


class Sliced(nn.Module):
    """The same network without masks: what is not there is not computed."""

    def __init__(self, masked: Masked, inputs: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for block in masked.blocks:
            self.blocks.append(SlicedBlock(block, inputs))
            inputs = self.blocks[-1].alive
        self.head = columns(masked.head, inputs)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)) if isinstance(self.head, nn.Linear) else x)


class SlicedBlock(nn.Module):
    """A block of layers that have only the filters that are kept."""

    def __init__(self, masked: MaskedBlock, inputs: int) -> None:
        super().__init__()
        self.block, self.layers, alive = masked.block, nn.ModuleList(), inputs
        if masked.block.removed:
            self.alive = inputs
            return
        self.gate: nn.Module = nn.Identity()
        for layer in masked.layers:
            if layer is masked.layers[-1] and isinstance(masked.gate, Gate):
                self.gate = Gate(1, 1)
                self.gate.down, self.gate.up = columns(masked.gate.down, alive), rows(masked.gate.up, alive)
            self.layers.append(SlicedLayer(layer, alive))
            alive = layer.layer.alive(alive)
        self.alive = max(alive, inputs if masked.block.residual else 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.block.removed:
            return x
        y = x
        for layer in self.layers[:-1]:
            y = layer(y)
        y = self.layers[-1](self.gate(y))
        return more_channels(x, self.alive) + more_channels(y, self.alive) if self.block.residual else y


class SlicedLayer(nn.Module):
    """cat(act(bn(conv(x))), x[:, M:b]), or what is left of that."""

    def __init__(self, masked: MaskedLayer, inputs: int) -> None:
        super().__init__()
        self.layer, self.own = masked.layer, masked.own
        self.passed = self.layer.bypassed(inputs)
        if self.own:
            conv = masked.weights.conv
            self.conv = rows(conv if self.layer.depthwise else columns(conv, inputs), self.own)
            self.bn = cut_norm(masked.weights.bn, self.own) if self.layer.norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        beside = None
        if self.own < self.passed:
            beside = x if (self.own, self.passed) == (0, x.shape[1]) else x[:, self.own : self.passed]
            beside = beside[:, :, ::2, ::2] if self.layer.stride == 2 else beside
        if not self.own:
            assert beside is not None
            return beside
        read = x[:, : self.own] if self.layer.depthwise and self.own < x.shape[1] else x
        y = ACTS[self.layer.act](self.bn(self.conv(read)))
        return y if beside is None else torch.cat([y, beside], 1)


def rows(conv: nn.Conv2d, count: int) -> nn.Conv2d:
    """The first filters of a convolution."""
    depthwise = conv.groups > 1
    new = nn.Conv2d(count if depthwise else conv.in_channels, count, conv.kernel_size, conv.stride, conv.padding,
                    groups=count if depthwise else 1, bias=conv.bias is not None)  # fmt: skip
    with torch.no_grad():
        new.weight.copy_(conv.weight[:count])
        if conv.bias is not None:
            new.bias.copy_(conv.bias[:count])
    return new


def columns(layer: nn.Conv2d | nn.Linear, count: int) -> nn.Conv2d | nn.Linear:
    """The layer on its first inputs."""
    has_bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        new: nn.Conv2d | nn.Linear = nn.Linear(count, layer.out_features, bias=has_bias)
    else:
        new = nn.Conv2d(count, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=has_bias)
    with torch.no_grad():
        new.weight.copy_(layer.weight[:, :count])
        if has_bias:
            new.bias.copy_(layer.bias)
    return new


def cut_norm(bn: nn.BatchNorm2d, count: int) -> nn.BatchNorm2d:
    """A batch norm of the first channels."""
    new = nn.BatchNorm2d(count)
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(new, name).copy_(getattr(bn, name)[:count])
    return new


def pair(spec: Spec) -> tuple[Masked, Sliced, Tensor]:
    """(the masked network, the same by hand, an input)."""
    masked = randomised(Masked(spec), spec.seed)
    x = torch.randn(2, spec.inputs, 9, 9, generator=torch.Generator().manual_seed(spec.seed))
    return masked, Sliced(masked, spec.inputs).eval(), x


def drawn(seed: int, forms: Sequence[str] = FORMS) -> Spec:
    """A random spec: widths from none to all, kernels, strides, budgets, gates, residuals, removed blocks, heads."""
    return _Drawing(seed, forms).spec()


class _Drawing:
    """Draws layers of full widths that are known, with alive widths that are never none."""

    def __init__(self, seed: int, forms: Sequence[str]) -> None:
        self.random, self.forms, self.seed = Random(seed), forms, seed
        self.form = self.random.choice(forms)

    def spec(self) -> Spec:
        inputs = self.random.choice([3, 4, 8])
        alive, blocks = inputs, []
        for _ in range(self.random.randint(1, 4)):
            block = self.block(alive)
            blocks.append(block)
            alive = self.alive(block, alive)
        return Spec(tuple(blocks), inputs, self.random.choice([0, 5]), self.seed)

    def alive(self, block: Block, alive: int) -> int:
        if block.removed:
            return alive
        before = alive
        for layer in block.layers:
            alive = layer.alive(alive)
        return max(alive, before if block.residual else 0)

    def block(self, alive: int) -> Block:
        kind, residual = self.random.choice(["plain", "two", "inverted", "inverted"]), self.random.random() < 0.5
        stride = 1 if residual else self.random.choice([1, 1, 2])
        removed = residual and self.random.random() < 0.2
        if kind == "plain":
            return Block((self.layer(alive, stride),), 0, residual, removed)
        if kind == "two":
            first = self.layer(alive, 1)
            return Block((first, self.layer(first.alive(alive), stride)), 0, residual, removed)
        first = self.layer(alive, 1, kernel=1, wide=True)
        hidden = first.alive(alive)
        second = self.layer(hidden, stride, depthwise=True)
        last = self.layer(second.alive(hidden), 1, kernel=1)
        return Block((first, second, last), self.random.choice([0, 3]), residual, removed)

    def layer(self, alive: int, stride: int, *, kernel: int = 0, wide: bool = False, depthwise: bool = False) -> Layer:
        full = self.random.choice([8, 12, 16] if wide else [4, 6, 8])
        budget = None if depthwise else self.random.choice([0, 2, 4, 6, 99])
        kept = full * self.random.randint(0, 4) // 4
        if not kept and budget is not None and budget < alive:
            budget = 99
        form = self.random.choice(self.forms) if self.random.random() < 0.3 else self.form
        return Layer(full, kept, budget, kernel or self.random.choice([1, 3, 5]), stride, depthwise, form,
                     self.random.randrange(len(ACTS)), self.random.random() < 0.8)  # fmt: skip
