"""The networks that the benchmarks run on: timm's and torchvision's, with random weights and batch statistics."""

from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from nascc.tools.errors import CommandError

SCHEMAS = Path(__file__).resolve().parents[2] / "tests" / "vision_schemas.py"
DEFAULT = (
    "torchvision:mobilenet_v2",
    "torchvision:mobilenet_v3_large",
    "torchvision:resnet18",
    "torchvision:resnet50",
    "torchvision:efficientnet_b0",
    "timm:repvgg_a0",
    "torchvision:densenet121",
    "torchvision:shufflenet_v2_x1_0",
    "timm:convnext_nano",
    "torchvision:lraspp_mobilenet_v3_large",
    "timm:vit_tiny_patch16_224",
    "timm:regnety_004",
)


@dataclass(frozen=True)
class Network:
    """A network in eval mode with its example batch, shape [N, C, H, W]."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]


def load_network(name: str, seed: int = 0, size: int = 224) -> Network:
    """Build `library:model` with seeded weights; raise CommandError where the library does not know the model."""
    torch.manual_seed(seed)
    library, _, model = name.partition(":")
    builders = {"timm": timm_model, "torchvision": torchvision_model}
    if library not in builders or not model:
        raise CommandError(f"a network must be timm:NAME or torchvision:NAME, got '{name}'")
    try:
        module = builders[library](model).eval()
    except (RuntimeError, ValueError) as error:
        raise CommandError(f"{library} must know the network, got '{name}': {error}") from error
    randomise_statistics(module, torch.Generator().manual_seed(seed))
    return Network(model, module, (torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed)),))


def timm_model(name: str) -> nn.Module:
    timm, _ = vision()
    return cast(nn.Module, timm.create_model(name, pretrained=False))


def torchvision_model(name: str) -> nn.Module:
    _, torchvision = vision()
    return cast(nn.Module, torchvision.models.get_model(name, weights=None, **backbone_weights(name)))


def backbone_weights(name: str) -> dict[str, None]:
    """The argument that keeps torchvision's segmentation models from downloading a backbone."""
    return {"weights_backbone": None} if name.startswith(("lraspp", "fcn", "deeplabv3")) else {}


def randomise_statistics(module: nn.Module, generator: torch.Generator) -> None:
    """Give every batch norm statistics, scales and shifts as a trained network has them."""
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.running_mean is not None:
            for tensor, low, high in batch_norm_ranges(norm):
                tensor.data.uniform_(low, high, generator=generator)


def batch_norm_ranges(norm: nn.modules.batchnorm._BatchNorm) -> list[tuple[Tensor, float, float]]:
    ranges = [(norm.running_mean, -0.2, 0.2), (norm.running_var, 0.5, 1.5), (norm.weight, 0.5, 1.5)]
    ranges.append((norm.bias, -0.2, 0.2))
    return [(tensor, low, high) for tensor, low, high in ranges if tensor is not None]


@cache
def vision_schemas() -> ModuleType:
    """The test suite's helper, which must stay alive as long as the libraries it makes importable."""
    spec = spec_from_file_location("vision_schemas", SCHEMAS)
    if spec is None or spec.loader is None or not SCHEMAS.is_file():
        raise CommandError(f"the benchmark must run from a checkout, found no {SCHEMAS}")
    helper = module_from_spec(spec)
    spec.loader.exec_module(helper)
    return helper


def vision() -> tuple[ModuleType, ModuleType]:
    """(timm, torchvision); raise CommandError where they are not installed."""
    try:
        return cast(tuple[ModuleType, ModuleType], vision_schemas().import_vision())
    except ImportError as error:
        raise CommandError(f"timm and torchvision must be installed (see README.md), got: {error}") from error
