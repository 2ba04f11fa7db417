"""Describe the kernels of the networks that public latency tables name, for fitting without torch.

Run it from a checkout: `python -m nascc.tools.bench.describe -o runtime/data/networks.json`.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from nascc.compiler.capture import capture
from nascc.compiler.kernels_fx import graph_kernels
from nascc.passes import PASSES, CollapseLinear, MergeBranches, default_pipeline, run_pipeline
from nascc.runtime.descriptions import descriptions_json, read_descriptions
from nascc.runtime.kernels import Kernel
from nascc.tools.bench.networks import vision

NETWORKS = (
    *(f"torchvision:{name}" for name in (
        "alexnet squeezenet1_0 squeezenet1_1 resnet18 resnet34 resnet50 resnet101 resnet152 "
        "densenet121 densenet169 densenet201 densenet161 vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn "
        "mobilenet_v2 shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 "
        "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3"
    ).split()),
    "torchvision:resnet50/3", "torchvision:mobilenet_v3_large/3", "timm:mixnet_m/3",
)  # fmt: skip
"""`library:model`, with `/n` for n classes."""


def describe(name: str, size: int = 224) -> tuple[Kernel, ...]:
    """The kernels of a network at batch 1, batch norms folded, nothing else rewritten."""
    pipeline = tuple(p for p in default_pipeline(PASSES) if not isinstance(p, (MergeBranches, CollapseLinear)))
    graph = capture(_network(name).eval(), torch.randn(1, 3, size, size)).gm
    run_pipeline(pipeline, graph)
    return graph_kernels(graph)


def _network(name: str) -> nn.Module:
    library, _, rest = name.partition(":")
    model, _, classes = rest.partition("/")
    options = {"num_classes": int(classes)} if classes else {}
    timm, torchvision = vision()
    if library == "timm":
        return timm.create_model(model, pretrained=False, **options)  # type: ignore[no-any-return]
    return torchvision.models.get_model(model, weights=None, **options)  # type: ignore[no-any-return]


def main() -> None:
    """Describe what the file does not yet hold, or everything with `--all`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("runtime/data/networks.json"))
    parser.add_argument("--all", action="store_true", help="describe again what the file holds already")
    options = parser.parse_args()
    known = {} if options.all or not options.output.exists() else read_descriptions(options.output)
    for name in NETWORKS:
        if name not in known:
            print(f"describing {name}", flush=True)
            known[name] = describe(name)
            options.output.write_text(descriptions_json(known), encoding="utf-8")


if __name__ == "__main__":
    main()
