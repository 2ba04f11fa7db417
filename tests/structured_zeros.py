"""Random networks with structured zeros: dead filters, unread channels, empty shells, norms that let nothing by."""

from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import randomised
from random_modules import Call


class Residual(nn.Module):
    """The input added to a branch."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class Beside(nn.Module):
    """Branches concatenated; the first may be the input itself."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Gate(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(c, max(1, c // 2), 1), nn.Conv2d(max(1, c // 2), c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))).sigmoid()


class Halves(nn.Module):
    """Split, one half through a branch, concatenated and shuffled."""

    def __init__(self, branch: nn.Module, shuffle: str) -> None:
        super().__init__()
        self.branch, self.shuffle = branch, shuffle

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        y = torch.cat([left, self.branch(right)], 1)
        if self.shuffle == "call":
            return F.channel_shuffle(y, 2) if y.shape[1] % 2 == 0 else y
        if self.shuffle == "by hand":
            return y.unflatten(1, (2, y.shape[1] // 2)).transpose(1, 2).flatten(1, 2)
        return y


class Masked(nn.Module):
    """A convolution whose weight is multiplied by a mask when it runs."""

    def __init__(self, conv: nn.Conv2d, mask: Tensor) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        c = self.conv
        return F.conv2d(x, c.weight * self.mask, c.bias, c.stride, c.padding, c.dilation, c.groups)  # type: ignore[operator]


class Nets:
    """Draws networks for images [N, c, h, w]; every draw depends on the seed alone."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def pick(self, *values: object) -> object:
        return self.random.choice(values)

    def network(self, c: int, depth: int) -> nn.Module:
        """Blocks, and sometimes a head on vectors."""
        blocks: list[nn.Module] = []
        for _ in range(depth):
            block, c = self.block(c, 2)
            blocks.append(block)
        head = self.pick("none", "mean", "flatten", "none", "permute")
        if head == "mean":
            blocks += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 6), nn.ReLU(), nn.Linear(6, 3)]
        elif head == "flatten":
            blocks += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(c * 4), nn.Linear(c * 4, 5)]
        elif head == "permute":
            blocks += [Call(lambda x: x.permute(0, 2, 3, 1), "permute"), nn.Linear(c, 4), nn.GELU(), nn.Linear(4, 3)]
        return nn.Sequential(*blocks)

    def block(self, c: int, depth: int) -> tuple[nn.Module, int]:
        kinds = [self.conv, self.conv, self.conv_bn, self.conv_bn, self.small, self.small]
        if depth:
            kinds += [self.residual, self.residual, self.beside, self.halves, self.inverted, self.inverted]
        return self.random.choice(kinds)(c, depth)

    def conv(self, c: int, depth: int, c_out: int | None = None, stride: int | None = None) -> tuple[nn.Module, int]:
        k, d = self.random.choice([1, 2, 3, 3, 4, 5]), self.random.choice([1, 1, 1, 2])
        exact = c_out is not None
        c_out = c_out or self.random.choice([2, 4, 6, 8])
        groups = self.random.choice([g for g in (1, 1, 2, c) if c % g == 0 and c_out % g == 0])
        if exact:
            k, p, s = (k // 2 * 2 + 1 if k % 2 == 0 else k), 0, 1
            p = d * (k // 2)
        else:
            p, s = self.random.choice([0, d * (k // 2), 1, d * (k // 2)]), self.random.choice([1, 1, 2])
        bias = self.random.random() < 0.5
        if not exact and self.random.random() < 0.1:
            return nn.ConvTranspose2d(c, c_out, k, 2, min(p, 1), groups=groups, bias=bias), c_out
        conv = nn.Conv2d(c, c_out, k, s, p, d, groups, bias=bias)
        if self.random.random() < 0.2:
            mask = torch.rand(c_out, 1, k, k, generator=torch.Generator().manual_seed(self.random.randrange(999))) > 0.3
            return Masked(conv, mask.any((2, 3), keepdim=True) * mask.float()), c_out
        return conv, c_out

    def conv_bn(self, c: int, depth: int, c_out: int | None = None) -> tuple[nn.Module, int]:
        conv, c = self.conv(c, depth, c_out)
        act = self.random.choice([nn.ReLU(), nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.Identity(), nn.PReLU(c)])
        return nn.Sequential(conv, nn.BatchNorm2d(c), act), c

    def small(self, c: int, depth: int) -> tuple[nn.Module, int]:
        choices: list[tuple[nn.Module, int]] = [
            (nn.BatchNorm2d(c), c),
            (nn.ReLU(), c),
            (nn.Sigmoid(), c),
            (nn.MaxPool2d(3, 1, 1), c),
            (nn.AvgPool2d(3, 1, 1), c),
            (nn.Upsample(scale_factor=2.0), c),
            (nn.ZeroPad2d(1), c),
            (nn.PixelUnshuffle(1), c),
            (Gate(c), c),
            (Call(lambda x: x[:, : max(1, c // 2)], "half"), max(1, c // 2)),
            (Call(lambda x: x[:, ::2], "every other"), (c + 1) // 2),
            (Call(lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), "more channels"), c + 3),
            (Call(lambda x: x * torch.linspace(0, 1, c).round().reshape(1, c, 1, 1) + 1, "masked"), c),
            (Call(lambda x: x * x.mean(1, keepdim=True), "attention"), c),
            (Call(lambda x: x.repeat(1, 2, 1, 1), "twice"), 2 * c),
            (Call(lambda x: x.flip(1), "flip"), c),
        ]
        if c % 4 == 0:
            choices += [(nn.PixelShuffle(2), c // 4), (nn.ChannelShuffle(2), c)]
        return self.random.choice(choices)

    def residual(self, c: int, depth: int) -> tuple[nn.Module, int]:
        first, mid = self.conv_bn(c, 0, self.random.choice([c, 2, 4]))
        second, _ = self.random.choice([self.conv_bn, self.conv])(mid, 0, c)
        return Residual(nn.Sequential(first, second)), c

    def inverted(self, c: int, depth: int) -> tuple[nn.Module, int]:
        h, k = 2 * c, self.random.choice([3, 5])
        parts = [nn.Conv2d(c, h, 1, bias=False), nn.BatchNorm2d(h), nn.ReLU6()]
        parts += [nn.Conv2d(h, h, k, 1, k // 2, groups=h, bias=False), nn.BatchNorm2d(h), nn.ReLU6()]
        parts += [Gate(h)] if self.random.random() < 0.3 else []
        parts += [nn.Conv2d(h, c, 1, bias=False), nn.BatchNorm2d(c)]
        return Residual(nn.Sequential(*parts)), c

    def beside(self, c: int, depth: int) -> tuple[nn.Module, int]:
        a, ca = self.conv_bn(c, 0, self.random.choice([2, 3, 4]))
        if self.random.random() < 0.5:
            return Beside(nn.Identity(), a), c + ca
        b, cb = self.conv(c, 0, self.random.choice([2, 3, 4]))
        return Beside(a, b), ca + cb

    def halves(self, c: int, depth: int) -> tuple[nn.Module, int]:
        if c % 2:
            return nn.ReLU(), c
        branch, out = self.conv_bn(c // 2, 0, self.random.choice([c // 2, 2]))
        return Halves(
            branch, str(self.random.choice(["call", "by hand", "none"]) if out == c // 2 else "none")
        ), c // 2 + out


def zeroed(model: nn.Module, seed: int, share: float = 0.4) -> nn.Module:
    """The model with random structured zeros: rows, columns, shells, whole layers, and batch norms with scale 0."""
    random = Random(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                _zero_weight(module.weight, random, share)
                if module.bias is not None and random.random() < 0.5:
                    module.bias[torch.rand(len(module.bias), generator=_generator(random)) < share] = 0
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                dead = torch.rand(module.num_features, generator=_generator(random)) < share / 2
                module.weight[dead] = 0
                module.bias[dead & (torch.rand(len(dead), generator=_generator(random)) < 0.5)] = 0
    return model


def _zero_weight(w: Tensor, random: Random, share: float) -> None:
    if random.random() < 0.06:
        w.zero_()
    if random.random() < 0.6:
        w[torch.rand(w.shape[0], generator=_generator(random)) < share] = 0
    if random.random() < 0.6:
        w[:, torch.rand(w.shape[1], generator=_generator(random)) < share] = 0
    if w.ndim == 4 and random.random() < 0.5:
        k = w.shape[-1]
        top, bottom, left, right = (random.randrange(k // 2 + 1) for _ in range(4))
        if random.random() < 0.5:
            top = bottom = left = right = random.randrange(k // 2 + 1)
        keep = torch.zeros(k, k)
        keep[top : k - bottom, left : k - right] = 1
        w *= keep


def _generator(random: Random) -> torch.Generator:
    return torch.Generator().manual_seed(random.randrange(2**31))


def drawn(seed: int) -> tuple[nn.Module, Tensor]:
    """(a network with structured zeros, an input for it)."""
    random = Random(seed)
    c = random.choice([3, 4, 6])
    size = random.choice([7, 8, 9, 12])
    x = torch.randn(2, c, size, size, generator=torch.Generator().manual_seed(seed))
    for attempt in range(99):
        model = randomised(Nets(seed * 100 + attempt).network(c, random.choice([1, 2, 3, 4])), seed)
        zeroed(model, seed)
        try:
            with torch.no_grad():
                if 0 < model(x).numel() < 100_000 and bool(model(x).isfinite().all()):
                    return model, x
        except RuntimeError:
            continue
    raise AssertionError(f"no network of seed {seed} fits its input")
