"""Elastic networks: what the masked one computes is what the small one computes, in every form it takes."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from nas.conformance import SuperNetConformance
from nas.elastic_kit import IMAGE, Mixed, Mobile, Odd, Plain, conv, extremes, space_of
from nascc.compiler.compile import compile
from nascc.nas.core import Arch, Space, SuperNet
from nascc.nas.elastic import Chosen, ElasticNet, ElasticSpace, Sliced, Thresholds, alive
from nascc.nas.elastic.ordered_dropout import OrderedDropout
from nascc.nas.errors import SearchError
from nascc.nas.methods import METHODS
from nascc.nas.methods.configure import configure
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.regions.teacher import captured_for
from nascc.nas.tasks import TaskConfig
from nascc.nas.zoo.mobilenet_v3 import MobileNetV3
from nascc.nas.zoo.mobilenet_v3_tables import power_of_2, widened
from nascc.nas.zoo.registry import find_architecture

NETWORKS = (Mobile, Plain, Mixed, Odd)
ZOO = {
    "netadapt_toy": (1, 24, 24),
    "fastdepth_toy": (3, 48, 48),
    "mobilenet_v1": (3, 32, 32),
    "mobilenet_v2": (3, 32, 32),
    "mobilenet_v3_large": (3, 32, 32),
    "mobilenet_v3_pow2": (3, 32, 32),
    "efficientnet_b0": (3, 32, 32),
    "resnet18": (3, 32, 32),
    "fastdepth": (3, 32, 32),
}


def images(count: int = 2, image: tuple[int, ...] = IMAGE) -> Tensor:
    return torch.randn(count, *image, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def worst(net: ElasticNet, count: int, image: tuple[int, ...] = IMAGE, more: Sequence[Arch] = ()) -> float:
    """The largest relative difference between the masked network and the small one, where widths matter to it."""
    net, x, found = net.double().eval(), images(image=image), 0.0
    with torch.inference_mode():
        far = [net(x, arch) for arch in (net.space.largest, net.space.smallest)]
        assert float((far[0] - far[1]).abs().max()) > 1e-3 * float(far[0].abs().max())
        for arch in (*extremes(net.space, count), *more):
            masked, small = net(x, arch), net.extract(arch).eval()(x)
            found = max(found, float((masked - small).abs().max() / masked.abs().max().clamp_min(1e-30)))
    return found


def in_the_zoo(name: str) -> ElasticSpace:
    return space_of(find_architecture(name)(), ZOO[name], levels=9)


@pytest.mark.parametrize(("inputs", "filters", "threshold", "left"), [
    (4, 4, None, [4, 4, 4, 4, 4]),
    (4, 6, None, [6, 5, 4, 4, 4, 4, 4]),
    (4, 2, None, [2, 2, 2]),
    (4, 4, 2, [4, 3, 2, 2, 2]),
])  # fmt: skip
def test_channels_left_are_those_of_the_figure(
    inputs: int, filters: int, threshold: int | None, left: list[int]
) -> None:
    assert [alive(inputs, threshold, filters, m) for m in range(filters, -1, -1)] == left


@pytest.mark.parametrize("network", NETWORKS)
def test_masked_is_sliced(network: Callable[[], nn.Module]) -> None:
    assert worst(ElasticNet(space_of(network())), 16) < 1e-12


@pytest.mark.parametrize(("thresholds", "levels"), [
    (Thresholds(of={"blocks.0.filter.0": 3, "blocks.1.filter.0": 3}), 5),
    (Thresholds(of={"blocks.1.filter.0": 0}), 2),
    (Thresholds(bypass=False), 3),
])  # fmt: skip
def test_masked_is_sliced_for_any_budget(thresholds: Thresholds, levels: int) -> None:
    """Depthwise layers may have one too, or no width to choose from; also where one layer alone is gone."""
    space = space_of(Mobile(), thresholds=thresholds, levels=levels)
    one = [tuple(n - 1 if k == slot else 0 for k, n in enumerate(space.choices)) for slot in range(len(space.slots))]
    assert worst(ElasticNet(space), 1, more=one) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_masked_is_sliced_in_the_zoo(name: str) -> None:
    assert worst(ElasticNet(in_the_zoo(name)), 200, ZOO[name]) < 1e-10


@pytest.mark.parametrize("name", ["netadapt_toy", "fastdepth_toy"])
def test_the_toy_networks_are_elastic(name: str) -> None:
    assert worst(ElasticNet(in_the_zoo(name)), 4, ZOO[name]) < 1e-10


@pytest.mark.parametrize("network", NETWORKS)
def test_the_emitted_graph_is_the_masked_network(network: Callable[[], nn.Module]) -> None:
    net = ElasticNet(space_of(network())).eval()
    for arch in extremes(net.space, 2):
        assert emitted_error(net, arch, IMAGE) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_the_emitted_graph_is_the_masked_network_in_the_zoo(name: str) -> None:
    net = ElasticNet(in_the_zoo(name)).eval()
    for arch in extremes(net.space, 200 if name.endswith("_toy") else 10):
        assert emitted_error(net, arch, ZOO[name]) < 1e-5


def emitted_error(net: ElasticNet, arch: tuple[int, ...], image: tuple[int, ...]) -> float:
    """Relative error of onnxruntime, on the deployed file, against the masked network in float64."""
    x = images(image=image)
    small = net.extract(arch).eval()
    model = compile(small, shapes=[f"x:{'x'.join(map(str, x.shape))}"], target="cpu", verify=False).onnx
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})
    with torch.inference_mode():
        expected = net.double()(x, arch).numpy()
    net.float()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_one_pass_of_many_widths_has_the_gradients_of_the_small_networks() -> None:
    net = ElasticNet(space_of(Mobile())).double().eval()  # frozen batch norms: images do not meet
    archs, x = extremes(net.space, 8), images(8)
    net(x, torch.tensor(archs)).square().sum().backward()
    together = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad(set_to_none=True)
    for k, arch in enumerate(archs):
        net(x[k : k + 1], arch).square().sum().backward()
    scale = max(float(p.grad.abs().max()) for p in net.parameters() if p.grad is not None)
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(together[name], parameter.grad, rtol=1e-9, atol=1e-13 * scale)


def test_masked_gradients_are_those_of_the_sliced_network() -> None:
    net = ElasticNet(space_of(Plain())).double().eval()
    arch = extremes(net.space, 3)[2]
    x, small = images(), net.extract(arch).double().eval()
    net(x, arch).square().sum().backward()
    small(x).square().sum().backward()
    own = dict(net.network.named_parameters())
    checked = 0
    for name, parameter in small.named_parameters():
        if name in own and parameter.grad is not None and own[name].grad is not None:
            place = tuple(slice(size) for size in parameter.shape)
            if own[name].shape[2:] == parameter.shape[2:] and not name.startswith("norms"):
                torch.testing.assert_close(own[name].grad[place], parameter.grad, rtol=1e-9, atol=1e-12)  # type: ignore[index]
                checked += 1
    assert checked > 4


def test_a_depthwise_filter_on_a_channel_that_is_gone_emits_nothing() -> None:
    net = ElasticNet(space_of(Mobile())).double().eval()
    layers = {layer.name: k for k, layer in enumerate(net.layout.layers)}
    expand, depthwise = layers["blocks.1.expand.0"], layers["blocks.1.filter.0"]
    arch = tuple(3 if choice.layer == expand else 0 for choice in net.space.selected)
    assert net.space.chosen(arch).filters[depthwise] > net.space.chosen(arch).filters[expand]
    sliced = Sliced(net.space.graph, net.space.layout, net.space.chosen(arch))
    sliced.graph()
    assert sliced.filters(depthwise) == sliced.channels[sliced.named[net.space.layout.layers[depthwise].source]]
    x = images()
    with torch.inference_mode():
        torch.testing.assert_close(net(x, arch), net.extract(arch).eval()(x), rtol=1e-12, atol=1e-12)


def test_a_block_that_is_gone_adds_nothing() -> None:
    net = ElasticNet(space_of(Mobile())).double().eval()
    layers = net.space.layout.layers
    gone = tuple(
        len(choice.values) - 1 if layers[choice.layer].name.startswith("blocks.2") else 0
        for choice in net.space.selected
    )
    x = images()
    targets = [str(n.target) for n in net.space.sliced(gone).graph.nodes if n.op == "call_function"]
    full = [str(n.target) for n in net.space.sliced(net.space.largest).graph.nodes if n.op == "call_function"]
    assert full.count("aten.add.Tensor") - targets.count("aten.add.Tensor") == 1
    assert full.count("aten.convolution.default") - targets.count("aten.convolution.default") == 5
    assert "aten.cat.default" not in targets and "aten.slice.Tensor" not in targets
    with torch.inference_mode():
        torch.testing.assert_close(net(x, gone), net.extract(gone).eval()(x), rtol=1e-12, atol=1e-12)


def test_layers_that_must_stay_whole_say_why() -> None:
    layout = space_of(Mixed()).layout
    fixed = {layer.name: layer.fixed for layer in layout.layers}
    assert "may mix channels" in fixed["left.0"] and "may mix channels" in fixed["right.0"]
    assert fixed["out"] == "it makes the output of the network"
    assert not fixed["one.0"] and not fixed["two.0"] and not fixed["three.0"]
    squeezed = {layer.name: layer.fixed for layer in space_of(Mobile()).layout.layers}
    assert "squeeze-and-excitation" in squeezed["blocks.1.squeeze.up"]


def test_a_batch_norm_behind_several_consumers_keeps_its_layer_whole() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)
            self.fc = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            z = torch.relu(self.norm(y)) + y
            return self.fc(self.head(z).mean((2, 3)))  # type: ignore[no-any-return]

    space = space_of(Shared())
    fixed = {layer.name: layer.fixed for layer in space.layout.layers}
    assert "batch norm" in fixed["conv"] and not fixed["head"]
    assert worst(ElasticNet(space), 10) < 1e-12


def test_networks_without_a_layer_to_shrink_are_refused() -> None:
    with pytest.raises(SearchError, match="must have a convolution that may lose filters"):
        space_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 5)))


def test_a_space_without_a_choice_is_refused() -> None:
    with pytest.raises(SearchError, match="two widths or kernels to choose from, found none with 2 levels"):
        space_of(nn.Sequential(conv(3, 8, 3), nn.Conv2d(8, 4, 1)), thresholds=Thresholds(bypass=False), levels=2)


@pytest.mark.parametrize(("module", "reason"), [
    (nn.Conv2d(8, 8, 3, groups=2), "is transposed, grouped"),
    (nn.ConvTranspose2d(8, 8, 2, 2), "is transposed, grouped"),
    (nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1)), "shares its weights or computes them"),
    (nn.PReLU(8), "numbers of its own for single channels"),
    (nn.PixelShuffle(2), "may mix channels"),
])  # fmt: skip
def test_a_layer_before_what_mixes_channels_says_why_it_stays(module: nn.Module, reason: str) -> None:
    layers = space_of(nn.Sequential(conv(3, 8), conv(8, 8), module, nn.Flatten())).layout.layers
    assert not layers[0].fixed and reason in layers[1].fixed


@pytest.mark.parametrize(("thresholds", "problem"), [
    (Thresholds(at={"9x9": 3}), "a resolution of the network, such as"),
    (Thresholds(of={"nowhere": 3}), "a layer of the network, such as"),
    (Thresholds(of={"stem.0": -1}), "must be at least 0"),
])  # fmt: skip
def test_thresholds_that_do_not_fit_are_refused(thresholds: Thresholds, problem: str) -> None:
    with pytest.raises(SearchError, match=problem):
        space_of(Mobile(), thresholds=thresholds)


@pytest.mark.parametrize("limit", [0, 10_000])
def test_any_threshold_is_kept_in_all_forms(limit: int) -> None:
    """None stands in for a filter, one channel does, or all do."""
    space = space_of(Mobile(), thresholds=Thresholds(at={"8x8": limit, "4x4": limit, "16x16": limit}))
    assert worst(ElasticNet(space), 4) < 1e-12
    dense = [space.layout.layers[k] for k in space.layout.shrinkable if not space.layout.layers[k].depthwise]
    widths = {c.values[-1] for c in space.selected if space.layout.layers[c.layer] in dense and not c.is_kernel}
    assert (min(widths) > 0) == (limit == 0 and not any(layer.place == () for layer in dense))


@pytest.fixture(scope="module")
def published() -> ElasticSpace:
    """The initial network of the paper on small images: sides are 2/7 of what they are there."""
    return ElasticSpace(captured_for(find_architecture("mobilenet_v3_pow2")().eval(), (3, 64, 64)), (3, 64, 64))


def by_side(space: ElasticSpace) -> dict[int, set[int | None]]:
    """T of dense layers by the side of what they read."""
    found: dict[int, set[int | None]] = {}
    for layer in (space.layout.layers[k] for k in space.layout.shrinkable):
        if not layer.depthwise:
            found.setdefault(layer.place[0], set()).add(layer.threshold)
    return found


def test_thresholds_are_the_published_ones(published: ElasticSpace) -> None:
    assert by_side(published) == {64: {8}, 32: {8}, 16: {16}, 8: {32}, 4: {64}, 2: {128}, 1: {1024}}


def test_thresholds_of_the_wider_network_are_those_of_the_narrower_one() -> None:
    """On its stem, one block of each resolution, and its last layers."""
    config = configure(METHODS["netadaptv2"], "paper", "cpu", TaskConfig(), {"network": "mobilenet_v3_x125"})
    assert isinstance(config, NetAdaptConfig)
    table = widened(power_of_2())
    table = replace(table, rows=tuple(table.rows[k] for k in (0, 1, 3, 7, 14)))
    graph = captured_for(MobileNetV3(table, 3, 10).eval(), (3, 64, 64))
    found = by_side(ElasticSpace(graph, (3, 64, 64), config.elastic.thresholds, config.elastic.levels))
    assert found == {64: {8}, 32: {8}, 16: {16}, 8: {32}, 4: {64}, 2: {128}, 1: {1024}}


def test_thresholds_of_a_decoder_are_those_of_its_encoder() -> None:
    graph = captured_for(find_architecture("fastdepth")().eval(), (3, 64, 64))
    found = by_side(ElasticSpace(graph, (3, 64, 64), Thresholds(0.25)))
    assert {side: found[side] for side in (32, 16, 8, 4, 2)} == {32: {16}, 16: {32}, 8: {64}, 4: {128}, 2: {256}}


def test_the_size_of_the_published_space(published: ElasticSpace) -> None:
    assert sum(not choice.is_kernel for choice in published.selected) == 54
    assert np.log10(float(published.size())) == pytest.approx(57.9, abs=0.05)


def test_widths_of_a_batch_are_balanced() -> None:
    space = space_of(Mobile())
    drawn = OrderedDropout(space, seed=3).draw(5, 64)
    for slot, choice in enumerate(space.selected):
        counts = torch.bincount(drawn[:, slot], minlength=len(choice.values))
        assert counts.max() - counts.min() <= 1 if not choice.is_kernel else (counts > 0).sum() == 1
    assert torch.equal(drawn, OrderedDropout(space, seed=3).draw(5, 64))
    assert not torch.equal(drawn, OrderedDropout(space, seed=3).draw(6, 64))


def test_a_share_of_the_images_may_run_the_whole_network() -> None:
    space = space_of(Mobile())
    drawn = OrderedDropout(space, seed=0, whole=0.25, kernels="image").draw(0, 64)
    assert not drawn[:16].any() and bool(drawn[16:].any(0).all())


def test_fresh_networks_share_nothing_with_the_initial_one() -> None:
    space = space_of(Mobile())
    arch = extremes(space, 4)[3]
    first, second = (space.build(arch) for _ in range(2))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert first(images().float()).shape == (2, 5)


class TestElasticNet(SuperNetConformance):
    """A space of few choices, so that legal architectures can be counted."""

    def space(self) -> Space:
        return space_of(Plain(), levels=3)

    def supernet(self) -> SuperNet:
        return ElasticNet(space_of(Plain(), levels=3))

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        return False

    def test_an_operator_that_did_not_run_is_untouched(self) -> None:
        """Operators share filters: those that an architecture has lost get a gradient of zero."""
        net = self.supernet().double().eval()
        assert isinstance(net, ElasticNet)
        arch = net.space.smallest
        net(self.images(), arch).square().sum().backward()
        chosen = net.space.chosen(arch)
        for layer, filters in zip(net.layout.layers, chosen.filters, strict=True):
            weight = net.network.get_parameter(f"{layer.name}.weight")
            lost = torch.zeros(()) if weight.grad is None else weight.grad[filters:].abs().sum()
            assert float(lost) == 0

    def test_every_image_may_have_its_own_kernels(self) -> None:
        net = ElasticNet(space_of(Mobile(), levels=3)).double().eval()
        archs, x = extremes(net.space, 6), self.images(6)
        assert len({net.space.chosen(arch).kernels for arch in archs}) > 1
        with torch.inference_mode():
            alone = torch.cat([net(x[k : k + 1], arch) for k, arch in enumerate(archs)])
            torch.testing.assert_close(net(x, torch.tensor(archs)), alone, rtol=1e-10, atol=1e-12)


def test_counts_need_not_be_levels() -> None:
    """What a table prints may be any number of filters."""
    space = space_of(Plain())
    net = ElasticNet(space).double().eval()
    filters = tuple(max(layer.filters - 1, 1) if not layer.fixed else layer.filters for layer in space.layout.layers)
    kernels = tuple(layer.kernels[0] if layer.kernels else 0 for layer in space.layout.layers)
    graph = Sliced(net.current(), space.layout, Chosen(filters, kernels)).graph()
    found = [n.args[1].meta["val"].shape[0] for n in graph.graph.nodes if str(n.target) == "aten.convolution.default"]
    assert found == [f for f, layer in zip(filters, space.layout.layers, strict=True) if layer.kind == "dense"]


def test_all_architectures_of_a_small_network() -> None:
    """Nothing but what is there: every single architecture of a network of three layers."""
    network = nn.Sequential(conv_bn(3, 4, 3), conv_bn(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    space = space_of(network, levels=5)
    net, x = ElasticNet(space).double().eval(), images()
    with torch.inference_mode():
        for arch in itertools.product(*map(range, space.choices)):
            torch.testing.assert_close(net(x, arch), net.extract(arch).eval()(x), rtol=1e-12, atol=1e-12)


def conv_bn(c_in: int, c_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, 1, kernel // 2), nn.BatchNorm2d(c_out), nn.SiLU())
