"""Superkernels: decisions, gates, what is emitted, and what the runtime model says of it."""

import itertools
import random

import pytest
import torch
from onnxruntime import InferenceSession
from torch import Tensor, nn

from kit import ir, outputs, relative_error
from nas.conformance import SuperNetConformance, randomise
from nascc.compiler import compile
from nascc.nas.blocks.mbconv import MBConv
from nascc.nas.blocks.operators import operator
from nascc.nas.core import Arch, Ctx, SuperNet, one_hot
from nascc.nas.core.randomness import generator
from nascc.nas.costs.shipped import shipped_table
from nascc.nas.errors import Diverged, SearchError
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.supernets.indicators import Indicators, drop_factors, indicator
from nascc.nas.supernets.superkernel import Superkernel
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.supernets.superkernel_runtime import Runtime
from nascc.passes import ExtractSuperkernel, run_pass
from nascc.passes import graph as g
from nascc.tools.bench.supernet import saved_bytes

PAPER = MacroSpace(load_macro("singlepath"), classes=1000)
TOY = MacroSpace(load_macro("singlepath_toy"), classes=10)
WIDE = MacroSpace(
    load_macro("toy"), 10, ["k7e2", "k3e2", "k5e2", "skip", "k3e4.5", "k5e4.5", "k7e4.5", "k3e6", "k5e6", "k7e6"]
)
"""Three kernels, three expansions, in no order, and skips that project."""
OPERATORS = ["k3e3", "k3e6", "k5e3", "k5e6", "skip"]


class TestSuperkernelNet(SuperNetConformance):
    """Operators of a superkernel share everything but the convolution of a skip that projects."""

    def space(self) -> MacroSpace:
        return WIDE

    def supernet(self) -> SuperNet:
        return SuperkernelNet(self.space())

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        is_skip = self.space().slots[slot].names[index] == "skip"
        return is_skip and name.startswith(f"parts.{self.space().slots[slot].name}.separate.")

    def test_thresholds_rest_when_operators_are_told(self) -> None:
        net = SuperkernelNet(self.space()).train()
        net(self.images().float(), self.archs(1)[0]).sum().backward()
        assert all(t.grad is None for t in net.thresholds)

    def test_decides_what_it_is_forced_to(self) -> None:
        net = self.exact()
        assert isinstance(net, SuperkernelNet)
        x, choices = self.images(), self.space().choices
        with torch.no_grad():
            for arch in self.archs():
                net.force(arch)
                assert net.decide() == arch
                torch.testing.assert_close(net.coeffs(), one_hot(arch, choices, torch.float64), rtol=0, atol=0)
                torch.testing.assert_close(net(x), net.extract(arch).eval()(x), rtol=1e-10, atol=1e-12)


def exact_block(stride: int = 1, operators: list[str] = OPERATORS, seed: int = 0) -> Superkernel:
    torch.manual_seed(seed)
    block = Superkernel(
        [operator(n) for n in operators if stride == 1 or n != "skip"], Ctx((6, 9, 9), 6, stride, "relu")
    )
    block = block.double()
    weights = {name: value for name, value in block.state_dict().items() if name != "thresholds"}
    holder = nn.Module()
    for name, value in weights.items():
        holder.register_buffer(name.replace(".", "_"), value)
    randomise(holder, seed)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            randomise(module, seed + 1)
    return block.eval()


class Net(nn.Module):
    """A block between two convolutions, run as its weights decide."""

    def __init__(self, block: Superkernel) -> None:
        super().__init__()
        self.first, self.block, self.last = nn.Conv2d(6, 6, 1), block, nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.block.gated(self.first(x), self.block.gates()))


def decided(block: Superkernel, bits: tuple[bool, ...]) -> tuple[int, int] | None:
    """(kernel, hidden channels) of three decisions, None for a skip."""
    shell, half, keep = bits
    return (5 if shell else 3, 36 if half else 18) if keep else None


@pytest.mark.parametrize("bits", list(itertools.product([False, True], repeat=3)))
def test_eight_decisions_are_the_emitted_block(bits: tuple[bool, ...]) -> None:
    """The supernet, the operator extracted, the graph that the pass leaves and its ONNX file are one function."""
    torch.manual_seed(1)
    net = Net(exact_block()).float().eval()
    net.block.force_bits(bits)
    x = torch.randn(2, 6, 9, 9)
    with torch.no_grad():
        index = net.block.decide()
        operator_alone = net.block.extract(index).eval()
        wanted = net.last(operator_alone(net.first(x)))
        torch.testing.assert_close(net(x), wanted, rtol=1e-6, atol=1e-6)
    found = decided(net.block, bits)
    if found is not None:
        assert isinstance(operator_alone, MBConv)
        conv = operator_alone.depthwise[0]
        assert (conv.kernel_size[0], conv.out_channels) == found
        assert net.block.ops[index].name == f"k{found[0]}e{found[1] // 6}"
    compiled = compile(net, x)
    assert compiled.report.verification == "done"
    kernels = [tuple(v.shape) for _, v in g.constants(compiled.graph) if v.ndim == 4]
    assert [k for k in kernels if k[-1] > 1] == ([] if found is None else [(found[1], 1, found[0], found[0])])
    session = InferenceSession(compiled.onnx.SerializeToString(), providers=["CPUExecutionProvider"])
    (name,) = (i.name for i in session.get_inputs())
    found_there = torch.from_numpy(session.run(None, {name: x.numpy()})[0])
    assert relative_error([wanted], [found_there]) <= 1e-6


def test_the_pass_makes_of_a_supernet_what_extract_does() -> None:
    """Two slots: one keeps shapes, the skip of the other projects; neither of them decides for it."""
    space = MacroSpace(WIDE.macro.model_copy(update={"stages": WIDE.macro.stages[:1]}), 4, WIDE.operators, (1, 8, 8))
    net = SuperkernelNet(space).double()
    randomise(net)
    arch = space.parse("k5e4.5 skip")
    net.force(arch)
    x = torch.randn(2, *space.input_shape, dtype=torch.float64)
    gm = ir(net.eval(), x)
    before = g.copy_graph(gm)
    run_pass(ExtractSuperkernel(), gm)
    assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10

    def kernels(graph: torch.fx.GraphModule) -> list[tuple[int, ...]]:
        calls = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.convolution.default)
        return [g.shape(n.args[1]) for n in calls]

    assert kernels(gm) == kernels(ir(net.extract(arch).eval(), x))


def test_a_faithful_supernet_still_emits_what_it_dropped() -> None:
    """As published: kernels alone are gated, so a dropped block gives act(bn(0)) and its projection."""
    torch.manual_seed(0)
    ops = [operator(name) for name in OPERATORS]
    block = Superkernel(ops, Ctx((6, 9, 9), 6), Indicators(faithful=True)).double()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        randomise(norm, 3)
    block.eval().force(4)
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        rest = block.gated(x, block.gates()) - x
    assert float(rest.abs().max()) > 1e-3
    torch.testing.assert_close(rest, rest[:1, :, :1, :1].expand_as(rest), rtol=1e-9, atol=1e-9)


def test_an_indicator_is_exact_and_has_the_gradient_of_a_sigmoid() -> None:
    importance, threshold = torch.tensor([0.5, 2.0, 1.0], requires_grad=True), torch.ones(3, requires_grad=True)
    found = indicator(importance, threshold)
    assert found.tolist() == [0.0, 1.0, 1.0]
    found.sum().backward()
    s = torch.sigmoid(torch.tensor([-0.5, 1.0, 0.0]))
    torch.testing.assert_close(importance.grad, s * (1 - s))
    torch.testing.assert_close(threshold.grad, -s * (1 - s))


def test_indicator_dropout_keeps_the_mean() -> None:
    draws = torch.cat([drop_factors(3, 0.6, generator(0, "indicators", k)) for k in range(4000)])
    assert set(draws.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.6)}
    assert float(draws.mean()) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("importance", ["rms", "l2", "l2sq"])
def test_gradients_reach_every_threshold_at_the_start(importance: str) -> None:
    torch.manual_seed(0)
    net = SuperkernelNet(TOY, Indicators(importance=importance)).train()  # type: ignore[arg-type]
    x, labels = torch.randn(16, *TOY.input_shape), torch.randint(10, (16,))
    gates = net.gates()
    cost = Runtime(net, cost_of_toy())(gates).log()
    (nn.functional.cross_entropy(net.gated(x, gates), labels) + cost).backward()
    assert all(float(t.grad.abs().min()) > 1e-4 for t in net.thresholds if t.grad is not None)
    assert all(t.grad is not None for t in net.thresholds)


def test_as_published_they_do_not() -> None:
    """With norms as importance and a sigmoid of width 1 nothing can be decided before weights have shrunk."""
    torch.manual_seed(0)
    block = Superkernel([operator(n) for n in OPERATORS], Ctx((96, 4, 4), 96), Indicators("l2", None)).train()
    with torch.no_grad():
        block.depthwise.normal_(0, (2 / 25) ** 0.5)
    block.gates().widths.sum().backward()
    assert block.thresholds.grad is not None and float(block.thresholds.grad[1].abs()) < 1e-7


def cost_of_toy() -> object:
    from nascc.nas.search import SyntheticCost

    rows = [[1.0, 2.0, 1.5, 3.0, 0.0][: len(slot.ops)] for slot in TOY.slots]
    return SyntheticCost(rows, constant=2.0)


def test_a_shell_counts_only_around_what_it_encloses() -> None:
    block = Superkernel([operator(f"k{k}e{e}") for k in (3, 5, 7) for e in (2, 4)], Ctx((4, 7, 7), 8))
    block.force_bits([False, True, True])
    assert block.ops[block.decide()].name == "k3e4"
    block.force_bits([True, False, False])
    assert block.ops[block.decide()].name == "k5e2"


@pytest.mark.parametrize("stride", [1, 2])
def test_the_inner_kernel_is_the_smaller_convolution(stride: int) -> None:
    """Padding of half the kernel: the core of 5x5 sees what a 3x3 of its own would see."""
    block = exact_block(stride, ["k3e3", "k5e3"])
    x = torch.randn(2, 6, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        block.force(0)
        torch.testing.assert_close(block.gated(x, block.gates()), block.extract(0).eval()(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("operators", "told"),
    [
        (["k3e3", "k5e6"], "k3e6, k5e3 missing"),
        (["k3e3se", "k5e3se"], "found k3e3se, k5e3se"),
        (["k3e1", "k3e3"], "found k3e1"),
        (["skip"], "blocks missing"),
    ],
)
def test_operators_that_are_no_superkernel_are_refused(operators: list[str], told: str) -> None:
    with pytest.raises(SearchError, match=f"all combinations of kernels and expansions.*{told}"):
        Superkernel([operator(name) for name in operators], Ctx((4, 7, 7), 4))


def test_a_threshold_that_is_no_number_decides_nothing() -> None:
    net = SuperkernelNet(TOY)
    with torch.no_grad():
        net.superkernels[2].thresholds[0] = float("nan")
    with pytest.raises(Diverged, match="must be a number, found NaN"):
        net.decide()
    small = Net(exact_block()).double()
    with torch.no_grad():
        small.block.thresholds[0] = float("nan")
    gm = ir(small, x := torch.randn(1, 6, 9, 9, dtype=torch.float64))
    before = g.copy_graph(gm)
    run_pass(ExtractSuperkernel(), gm)  # in eval mode a comparison with NaN is false: the shell is dropped
    assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10
    assert max(w.shape[-1] for _, w in g.constants(gm) if w.ndim == 4) == 3


def uniform(space: MacroSpace, name: str) -> Arch:
    return tuple(slot.names.index(name) for slot in space.slots)


def test_the_papers_space_and_its_costs() -> None:
    assert PAPER.size() == 4**5 * 5**15
    assert TOY.size() == 4**3 * 5**3
    cost = shipped_table("pixel1", PAPER)
    totals = [cost(uniform(PAPER, name)) for name in ("k3e3", "k3e6", "k5e3", "k5e6")]
    assert totals == pytest.approx([65.7, 110.7, 76.4, 131.5], abs=0.1)


def test_other_networks_have_no_pixel_1_costs() -> None:
    for space in (TOY, MacroSpace(load_macro("singlepath"), 1000, ["k3e3", "k7e3", "skip"])):
        with pytest.raises(SearchError, match="must be asked about the macro 'singlepath'"):
            shipped_table("pixel1", space)


@pytest.fixture(scope="module")
def paper_net() -> SuperkernelNet:
    return SuperkernelNet(PAPER)


def test_the_runtime_model_is_near_the_exact_table(paper_net: SuperkernelNet) -> None:
    cost, draw = shipped_table("pixel1", PAPER), random.Random(0)
    runtime = Runtime(paper_net, cost)
    errors = [abs(runtime.of(arch) / cost(arch) - 1) for arch in (PAPER.random(draw) for _ in range(2000))]
    assert sum(errors) / len(errors) <= 0.002
    for name in ("k3e6", "k5e3", "k5e6"):
        assert runtime.of(uniform(PAPER, name)) == pytest.approx(cost(uniform(PAPER, name)), rel=1e-12)


def test_one_path_has_a_third_of_the_parameters_of_many(paper_net: SuperkernelNet) -> None:
    many = ChoiceSuperNet(PAPER, "separate")
    sizes = [sum(p.numel() for s in PAPER.slots for p in net.parts[s.name].parameters()) for net in (many, paper_net)]
    assert 2.8 <= sizes[0] / sizes[1] <= 3.0


def test_gates_keep_hardly_more_than_the_largest_network() -> None:
    net = SuperkernelNet(TOY).train()
    x = torch.randn(32, *TOY.input_shape)
    largest = net.extract(uniform(TOY, "k5e6")).train()
    assert saved_bytes(net, x) <= 1.3 * saved_bytes(largest, x)
