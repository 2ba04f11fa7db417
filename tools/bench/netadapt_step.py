"""What a step of ordered dropout takes, against a plain step of the same batch; what published networks cost."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from nascc.compiler.macs import count_macs
from nascc.nas.elastic import ElasticNet, ElasticSpace
from nascc.nas.elastic.ordered_dropout import OrderedDropout
from nascc.nas.elastic.published import other_macs, published_graph, read_published, table8
from nascc.nas.regions.teacher import captured_for
from nascc.nas.zoo.registry import find_architecture
from nascc.passes.blocks import rebatched

ROUNDS = 12
CASES = {"netadapt_toy": ((1, 24, 24), 64), "mobilenet_v1": ((3, 96, 96), 16), "mobilenet_v3_pow2": ((3, 96, 96), 16)}


def report_steps() -> None:
    """Print ratios of minima of interleaved rounds."""
    for name, (image, batch) in CASES.items():
        space = ElasticSpace(captured_for(find_architecture(name)().eval(), image), image)
        net = ElasticNet(space).train()
        images = torch.randn(batch, *image).to(memory_format=torch.channels_last)
        drawn = OrderedDropout(space, seed=0, kernels="batch").draw(0, batch)
        labels = torch.zeros(batch, dtype=torch.long)

        def step(run: Callable[[], torch.Tensor], net: ElasticNet = net) -> float:
            net.zero_grad(set_to_none=True)
            started = time.thread_time()
            F.cross_entropy(run(), labels).backward()  # type: ignore[no-untyped-call]  # noqa: B023
            return time.thread_time() - started

        def plain(net: ElasticNet = net, x: torch.Tensor = images) -> torch.Tensor:
            return net.network(x)  # type: ignore[no-any-return]

        def dropout(net: ElasticNet = net, x: torch.Tensor = images, sel: torch.Tensor = drawn) -> torch.Tensor:
            return net(x, sel)  # type: ignore[no-any-return]

        pairs = [(step(plain), step(dropout)) for _ in range(ROUNDS)]
        first, second = (min(times) for times in zip(*pairs, strict=True))
        print(
            f"{name} at {'x'.join(map(str, image))}, batch {batch}: {second / first:.2f} x a plain step "
            f"({1e3 * second:.0f} and {1e3 * first:.0f} ms of CPU); sub-networks one by one would be {batch} steps"
        )


def report_macs(table: Path | None, image: tuple[int, int, int]) -> None:
    """Print the multiply-accumulates of an image, in millions: of convolutions and linear layers, and with the rest."""
    graph = rebatched(published_graph(table8() if table is None else read_published(table), image), (1, *image))
    own = count_macs(graph)
    print(f"{'Table 8' if table is None else table.name}: {own / 1e6:.1f} M of convolutions and linear layers")
    print(f"{(own + other_macs(graph)) / 1e6:.1f} M with pooling, scaling of channels and residual sums")
