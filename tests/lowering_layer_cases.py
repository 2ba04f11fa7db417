"""Small modules for every layer that the writer knows, by family."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowering_kit import Case, Fn, values

X4 = values(2, 6, 9, 11)
X3 = values(2, 6, 13)
X2 = values(5, 7)
V = values(2, 3, 8)


def fn(call: object, *inputs: Tensor, since: int = 11, rtol: float = 2e-5) -> Case:
    return Case(Fn(call), inputs or (X4,), since, rtol)  # type: ignore[arg-type]


def layer(module: nn.Module, *inputs: Tensor, since: int = 11) -> Case:
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5
    for part in module.modules():
        if isinstance(mean := getattr(part, "running_mean", None), Tensor):
            mean.copy_(torch.randn(mean.shape, generator=generator))
            part.running_var.copy_(torch.rand(mean.shape, generator=generator) + 0.5)  # type: ignore[operator, union-attr]
    return Case(module, inputs or (X4,), since)


CONV = {
    "conv1d": layer(nn.Conv1d(6, 4, 3, stride=2, padding=1), X3),
    "conv2d": layer(nn.Conv2d(6, 8, 3, stride=(1, 2), padding=(0, 1), dilation=(2, 1), groups=2)),
    "conv2d no bias": layer(nn.Conv2d(6, 6, 3, groups=6, bias=False)),
    "conv2d same": layer(nn.Conv2d(6, 4, (5, 3), padding="same")),
    "conv2d reflect": layer(nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect")),
    "conv2d unbatched": layer(nn.Conv2d(6, 4, 3), X4[0]),
    "conv3d": layer(nn.Conv3d(2, 3, 3, padding=1), values(1, 2, 5, 6, 7)),
    "conv transpose1d": layer(nn.ConvTranspose1d(6, 4, 3, stride=2, output_padding=1), X3),
    "conv transpose2d": layer(nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=(1, 0), groups=2)),
    "conv transpose2d dilated": layer(nn.ConvTranspose2d(6, 4, 3, dilation=2, bias=False)),
    "conv transpose3d": layer(nn.ConvTranspose3d(2, 3, 2, stride=2), values(1, 2, 3, 4, 5)),
    "conv with computed weight": fn(lambda x, w: F.conv2d(x, w), X4, values(3, 6, 3, 3)),
    "zero pad then conv": layer(nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(6, 4, 3, padding=1))),
}
LINEAR = {
    "linear 2d": layer(nn.Linear(7, 3), X2),
    "linear 2d no bias": layer(nn.Linear(7, 3, bias=False), X2),
    "linear 1d": layer(nn.Linear(7, 3), X2[0]),
    "linear 3d": layer(nn.Linear(8, 5), V),
    "linear between reshapes": layer(nn.Sequential(nn.Flatten(0, 1), nn.Linear(8, 6), nn.Unflatten(0, (2, 3))), V),
    "matmul": fn(lambda a, b: a @ b, V, values(2, 8, 5)),
    "matmul vector": fn(lambda a, b: a @ b, V, values(8)),
    "matmul broadcast": fn(lambda a, b: a @ b, values(4, 1, 3, 8), V.transpose(1, 2)),
    "mm": fn(torch.mm, X2, values(7, 4)),
    "bmm": fn(torch.bmm, V, values(2, 8, 5)),
    "addmm": fn(lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), values(5, 4), X2, values(7, 4)),
    "baddbmm": fn(lambda c, a, b: torch.baddbmm(c, a, b, alpha=0.3), values(2, 3, 5), V, values(2, 8, 5)),
    "einsum": fn(lambda a, b: torch.einsum("b i d, b j d -> b i j", a, b), V, values(2, 5, 8)),
    "bilinear": layer(nn.Bilinear(7, 7, 4), X2, values(5, 7, seed=3)),
    "outer": fn(torch.outer, X2[0], X2[1]),
    "dot": fn(torch.dot, X2[0], X2[1]),
}
NORM = {
    "batch norm": layer(nn.BatchNorm2d(6)),
    "batch norm plain": layer(nn.BatchNorm1d(7, affine=False), X2),
    "instance norm": layer(nn.InstanceNorm2d(6, affine=True)),
    "instance norm plain": layer(nn.InstanceNorm1d(6), X3),
    "instance norm tracked": layer(nn.InstanceNorm2d(6, track_running_stats=True)),
    "group norm": layer(nn.GroupNorm(2, 6)),
    "group norm one": layer(nn.GroupNorm(1, 6)),
    "group norm each": layer(nn.GroupNorm(6, 6)),
    "layer norm": layer(nn.LayerNorm(8), V),
    "layer norm two axes": layer(nn.LayerNorm((3, 8)), V),
    "layer norm plain": layer(nn.LayerNorm(8, elementwise_affine=False), V),
    "layer norm no bias": layer(nn.LayerNorm(8, bias=False), V),
    "rms norm": layer(nn.RMSNorm(8), V),
    "local response norm": layer(nn.LocalResponseNorm(3)),
    "normalize": fn(lambda x: F.normalize(x, dim=1)),
    "weight norm": layer(nn.utils.parametrizations.weight_norm(nn.Linear(7, 3)), X2),
}
ACTIVATION = {
    **{
        name: layer(module)
        for name, module in {
            "relu": nn.ReLU(),
            "relu6": nn.ReLU6(),
            "hardtanh": nn.Hardtanh(-0.5, 0.7),
            "leaky relu": nn.LeakyReLU(0.2),
            "rrelu": nn.RReLU(),
            "elu": nn.ELU(0.7),
            "selu": nn.SELU(),
            "celu": nn.CELU(),
            "celu alpha": nn.CELU(0.6),
            "silu": nn.SiLU(),
            "mish": nn.Mish(),
            "hardswish": nn.Hardswish(),
            "hardsigmoid": nn.Hardsigmoid(),
            "sigmoid": nn.Sigmoid(),
            "tanh": nn.Tanh(),
            "gelu": nn.GELU(),
            "gelu tanh": nn.GELU("tanh"),
            "softplus": nn.Softplus(),
            "softplus beta": nn.Softplus(2.0),
            "softsign": nn.Softsign(),
            "log sigmoid": nn.LogSigmoid(),
            "tanhshrink": nn.Tanhshrink(),
            "hardshrink": nn.Hardshrink(),
            "softshrink": nn.Softshrink(0.3),
            "threshold": nn.Threshold(0.1, -2.0),
            "glu": nn.GLU(1),
            "softmax": nn.Softmax(-1),
            "softmax channels": nn.Softmax(1),
            "softmin": nn.Softmin(2),
            "log softmax": nn.LogSoftmax(1),
        }.items()
    },
    "prelu": Case(nn.PReLU(6), (X4,)),
    "prelu one": Case(nn.PReLU(), (X4,)),
    "prelu rows": Case(nn.PReLU(7), (X2,)),
}
POOL = {
    "max pool": layer(nn.MaxPool2d(3, 2, 1)),
    "max pool ceil": layer(nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
    "max pool ceil leftover": layer(nn.MaxPool2d(2, 2, ceil_mode=True), values(1, 2, 7, 8)),
    "max pool dilated": layer(nn.MaxPool2d(2, dilation=2)),
    "max pool 1d": layer(nn.MaxPool1d(3, 2), X3),
    "max pool 3d": layer(nn.MaxPool3d(2), values(1, 2, 4, 5, 6)),
    "max pool unbatched": layer(nn.MaxPool2d(3), X4[0]),
    "max pool after -inf pad": fn(lambda x: F.max_pool2d(F.pad(x, (1, 0, 1, 1), value=-torch.inf), 3, 2)),
    "max pool after zero pad": fn(lambda x: F.max_pool2d(F.pad(x, (1, 0, 1, 1)), 3, 2)),
    "max pool after relu and zero pad": fn(lambda x: F.max_pool2d(F.pad(x.relu(), (1, 0, 1, 1)), 3, 2)),
    "max pool values": fn(lambda x: F.max_pool2d(x, 3, return_indices=True)[0]),
    "average pool": layer(nn.AvgPool2d(3, 2, 1)),
    "average pool excluding": layer(nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "average pool ceil": layer(nn.AvgPool2d(3, 2, ceil_mode=True)),
    "average pool ceil padded": layer(nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
    "average pool ceil excluding": layer(nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)),
    "average pool divisor": layer(nn.AvgPool2d(2, divisor_override=3)),
    "average pool 1d": layer(nn.AvgPool1d(4, 3), X3),
    "average pool 3d": layer(nn.AvgPool3d(2), values(1, 2, 4, 5, 6)),
    "average pool after zero pad": fn(lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3)),
    "lp pool": layer(nn.LPPool2d(2, 3)),
    "adaptive average one": layer(nn.AdaptiveAvgPool2d(1)),
    "adaptive average even": layer(nn.AdaptiveAvgPool2d((3, 1))),
    "adaptive average uneven": layer(nn.AdaptiveAvgPool2d((7, 4))),
    "adaptive average larger": layer(nn.AdaptiveAvgPool2d(12)),
    "adaptive average 1d": layer(nn.AdaptiveAvgPool1d(5), X3),
    "adaptive average 3d": layer(nn.AdaptiveAvgPool3d((3, 2, 4)), values(1, 2, 5, 5, 5)),
    "adaptive average unbatched": layer(nn.AdaptiveAvgPool2d(2), X4[0]),
    "adaptive max one": layer(nn.AdaptiveMaxPool2d(1)),
    "adaptive max uneven": layer(nn.AdaptiveMaxPool2d((4, 3))),
    "adaptive max 1d": layer(nn.AdaptiveMaxPool1d(5), X3),
}
RESIZE = {
    "nearest x2": layer(nn.Upsample(scale_factor=2)),
    "nearest factor": layer(nn.Upsample(scale_factor=(1.7, 0.6))),
    "nearest size": layer(nn.Upsample((13, 7))),
    "nearest 1d": layer(nn.Upsample(scale_factor=3), X3),
    "nearest exact": fn(lambda x: F.interpolate(x, (7, 23), mode="nearest-exact")),
    "bilinear x2": layer(nn.Upsample(scale_factor=2, mode="bilinear")),
    "bilinear size": layer(nn.Upsample((5, 17), mode="bilinear")),
    "bilinear one": layer(nn.Upsample((1, 4), mode="bilinear")),
    "bilinear corners": layer(nn.Upsample((5, 17), mode="bilinear", align_corners=True)),
    "bilinear factor": fn(lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear")),
    "bilinear recomputed": fn(
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear", recompute_scale_factor=True)
    ),
    "linear 1d": layer(nn.Upsample(scale_factor=2, mode="linear"), X3),
    "trilinear": layer(nn.Upsample(scale_factor=2, mode="trilinear"), values(1, 2, 3, 4, 5)),
    "bicubic": layer(nn.Upsample((20, 5), mode="bicubic")),
    "bicubic corners": layer(nn.Upsample(scale_factor=2, mode="bicubic", align_corners=True)),
    "antialiased": fn(lambda x: F.interpolate(x, (5, 4), mode="bilinear", antialias=True)),
    "antialiased bicubic": fn(lambda x: F.interpolate(x, (5, 4), mode="bicubic", antialias=True)),
    "area": fn(lambda x: F.interpolate(x, (3, 11), mode="area")),
    "pixel shuffle": fn(lambda x: F.pixel_shuffle(x, 2), values(1, 8, 3, 5)),
    "pixel unshuffle": fn(lambda x: F.pixel_unshuffle(x, 2), values(1, 2, 6, 4)),
    "channel shuffle": fn(lambda x: F.channel_shuffle(x, 3)),
    "grid sample": fn(lambda x, g: F.grid_sample(x, g, align_corners=False), X4, values(2, 4, 5, 2) * 0.7, since=16),
    "grid sample nearest": fn(
        lambda x, g: F.grid_sample(x, g, "nearest", "border", align_corners=True), X4, values(2, 4, 5, 2), since=16
    ),
    "grid sample reflection": fn(
        lambda x, g: F.grid_sample(x, g, "bilinear", "reflection", align_corners=False),
        X4,
        values(2, 4, 5, 2),
        since=16,
    ),
    "unfold": layer(nn.Unfold(3, dilation=2, padding=1, stride=2)),
    "fold": layer(nn.Fold((9, 11), 3, dilation=2, padding=1, stride=2), values(1, 18, 20)),
    "fold patches": layer(nn.Fold((4, 6), 2, stride=2), values(1, 12, 6)),
    "tensor unfold": fn(lambda x: x.unfold(2, 4, 3)),
}
PAD = {
    "pad constant": fn(lambda x: F.pad(x, (1, 2, 0, 3), value=1.5)),
    "pad negative": fn(lambda x: F.pad(x, (-1, 2, 0, -2))),
    "pad bool": fn(lambda x: F.pad(x > 0, (1, 1), value=True)),
    "pad reflect": layer(nn.ReflectionPad2d((1, 2, 3, 1))),
    "pad reflect 1d": layer(nn.ReflectionPad1d(2), X3),
    "pad replicate": layer(nn.ReplicationPad2d((1, 2, 3, 1))),
    "pad circular": fn(lambda x: F.pad(x, (1, 2, 3, 1), mode="circular")),
}
FAMILIES = {
    "conv": CONV,
    "linear": LINEAR,
    "norm": NORM,
    "activation": ACTIVATION,
    "pool": POOL,
    "resize": RESIZE,
    "pad": PAD,
}
