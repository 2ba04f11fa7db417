"""A small neural network on one-hot architectures, with a linear skip: what LightNAS predicts latency with."""

import torch
from torch import Tensor, fx, nn

from nascc.nas.core.cost import Cost
from nascc.nas.core.selection import legal_columns, one_hot
from nascc.nas.core.space import Arch
from nascc.nas.costs.deployment import noted_architecture
from nascc.nas.costs.linear_fits import fit_ridge
from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.networks import Networks
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.predicted import PredictedCost

HIDDEN = (128, 64)
EPOCHS, PATIENCE, BATCH = 300, 30, 64
RATE, DECAY = 1e-3, 1e-4
HELD_OUT = 5
"""One in so many networks decides when training stops."""


class MLPCost(Cost):
    """linear(arch) + scale * MLP(one-hot of arch): 128-64-1, ReLU. Not additive."""

    def __init__(self, linear: PredictedCost, net: nn.Sequential, scale: float, choices: tuple[int, ...]) -> None:
        self.metric, self.unit = linear.metric, UNITS[linear.metric]
        self.linear, self.choices, self.scale = linear, choices, scale
        self._net = net.eval().requires_grad_(False)
        self._legal = legal_columns(choices)

    def __call__(self, arch: Arch) -> float:
        return float(self.soft(one_hot(arch, self.choices, torch.float64)))

    def of_graph(self, graph: fx.GraphModule) -> float:
        return self(noted_architecture(graph))

    def soft(self, coefficients: Tensor) -> Tensor:
        features = coefficients[self._legal.to(coefficients.device)]
        parameters = next(self._net.parameters())
        found: Tensor = self._net(features.to(parameters)).squeeze(-1).to(coefficients)
        return self.linear.soft(coefficients) + self.scale * found


def fit_mlp(networks: Networks, base: PairwiseCost | None = None, seed: int = 0) -> MLPCost:
    """Ridge first; the MLP, whose last layer starts at zero, learns what it leaves. `base` is left aside."""
    choices = networks.space.choices
    held = list(range(0, len(networks), HELD_OUT))
    train = [i for i in range(len(networks)) if i % HELD_OUT]
    linear = fit_ridge(networks)
    scale = float(networks.values.std()) or 1.0
    rest = torch.tensor([v - linear(a) for v, a in zip(networks.values, networks.archs, strict=True)]) / scale
    legal = legal_columns(choices)
    features = torch.stack([one_hot(arch, choices, torch.float64)[legal] for arch in networks.archs])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _network(features.shape[1])
        _train(net, features[train], rest[train], features[held], rest[held])
    return MLPCost(linear, net, scale, choices)


def _network(inputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *HIDDEN), HIDDEN, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    last = nn.Linear(HIDDEN[-1], 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last).double()


def _train(net: nn.Sequential, x: Tensor, y: Tensor, x_held: Tensor, y_held: Tensor) -> None:
    """Adam until the held-out error has not fallen for a while; the best weights stay."""
    optimiser = torch.optim.Adam(net.parameters(), RATE, weight_decay=DECAY)
    best, kept, waited = float(y_held.square().mean()), _copied(net), 0
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            optimiser.zero_grad()
            loss = (net(x[batch]).squeeze(-1) - y[batch]).square().mean()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            error = float((net(x_held).squeeze(-1) - y_held).square().mean())
        waited += 1
        if error < best:
            best, kept, waited = error, _copied(net), 0
        if waited >= PATIENCE:
            break
    net.load_state_dict(kept)


def _copied(net: nn.Sequential) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}
