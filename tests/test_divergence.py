"""Naming the node where a deployed network departs: which values count as a node's, and which node is first."""

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from nascc.compiler.divergence import Divergence, first_divergence
from nascc.compiler.verify import verify_onnx
from verify_kit import captured, lowered, net, on_output

X = np.random.default_rng(0).standard_normal((2, 16)).astype(np.float32)


class Chain(nn.Module):
    """a, tanh, b: every value has the shape [2, 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def chain():  # type: ignore[no-untyped-def]
    """The captured graph, the names of its three calls, and their values in float32."""
    network = captured(Chain(), "x:2x16")
    env, tensor = {}, torch.from_numpy(X).double()
    weight = dict(network.gm.named_buffers())
    env["a"] = tensor @ weight["a.weight"].T + weight["a.bias"]
    env["t"] = torch.tanh(env["a"])
    env["b"] = env["t"] @ weight["b.weight"].T + weight["b.bias"]
    names = [n.name for n in network.gm.graph.nodes if n.op == "call_function"]
    assert len(names) == 3
    return network.gm, names, {k: v.float().numpy() for k, v in env.items()}


def find(chain, deployed: dict[str, np.ndarray], names: dict[str, str] | None = None) -> Divergence | None:  # type: ignore[no-untyped-def]
    return first_divergence(chain[0], (X,), deployed, names or {})


def test_values_that_agree_have_no_divergence(chain) -> None:  # type: ignore[no-untyped-def]
    values = chain[2]
    assert find(chain, {"a/gemm": values["a"], "tanh": values["t"], "b/gemm": values["b"]}) is None


def test_the_first_of_several_wrong_values_is_named(chain) -> None:  # type: ignore[no-untyped-def]
    _, names, values = chain
    found = find(chain, {"a/gemm": values["a"], "tanh": values["t"] + 1, "b/gemm": values["b"] + 1})
    assert found is not None and found.node == names[1] and found.before < 1e-5 < found.after


def test_a_value_that_was_fused_away_is_no_divergence(chain) -> None:  # type: ignore[no-untyped-def]
    values = chain[2]
    assert find(chain, {"tanh": values["t"], "b/gemm": values["b"]}) is None


def test_a_wrong_value_is_that_of_the_nodes_own_module(chain) -> None:  # type: ignore[no-untyped-def]
    _, names, values = chain
    found = find(chain, {"a/gemm": values["a"] + 2, "elsewhere/x": values["a"] + 1, "b/gemm": values["b"] + 3})
    assert found is not None and (found.node, found.value) == (names[0], "a/gemm")


def test_a_handed_in_name_beats_a_value_that_happens_to_agree(chain) -> None:  # type: ignore[no-untyped-def]
    _, names, values = chain
    deployed = {"copy": values["b"], "real": values["b"] + 1, "a/gemm": values["a"], "tanh": values["t"]}
    assert find(chain, deployed) is None
    found = find(chain, deployed, {names[2]: "real"})
    assert found is not None and (found.node, found.value) == (names[2], "real")


def test_a_handed_in_value_of_another_shape_diverges(chain) -> None:  # type: ignore[no-untyped-def]
    _, names, values = chain
    deployed = {"real": values["b"][:1], "copy": values["b"], "a/gemm": values["a"], "tanh": values["t"]}
    found = find(chain, deployed, {names[2]: "real"})
    assert found is not None and found.node == names[2] and found.after == np.inf


def test_nothing_to_compare_is_no_divergence(chain) -> None:  # type: ignore[no-untyped-def]
    assert find(chain, {"other": np.zeros((3, 3), np.float32)}) is None


def test_an_output_damaged_behind_a_right_value_is_named() -> None:
    network, reference = net()
    model = on_output(lowered(network), "Mul", numpy_helper.from_array(np.array(1.5, np.float32), "factor"))
    found = verify_onnx(network, model, reference=reference)
    assert not found and found.divergence is not None
    assert found.divergence.value == "output" and found.divergence.module == "head"
