"""The networks that stand beside a found one, for about the same cost."""

from collections.abc import Iterator

from nascc.nas.baselines import largest_scaled, parse_baselines, random_networks
from nascc.nas.core import Arch, Cost, Limit
from nascc.nas.core.randomness import rng
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.macro import Macro
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import Goal
from nascc.nas.phases.networks import TRANSFORM_FIRST, Network
from nascc.nas.spaces import MacroSpace

UNIFORM = "k3e6"
"""The operator of MobileNetV2, which is what is scaled."""


def rivals(
    config: RunConfig, goal: Goal, found: Network, cost: Cost, limits: tuple[Limit, ...], described: DescribedSpace
) -> Iterator[Network]:
    """The baselines of the configuration for one goal, and the found network collapsed before it is trained, if wanted.

    Baselines that the cost knows nothing of are left out.
    """
    at_most = cost(found.arch)
    for wanted in parse_baselines(config.baselines):
        if wanted.kind == "random":
            draw = rng(config.seed, "baselines", goal.name)
            archs = random_networks(described.space, cost, at_most, limits, wanted.count, draw)
            for number, arch in enumerate(archs, 1):
                yield _rival(found, goal.phase(f"random{number}"), "random", arch, found.macro)
        elif (scaled := _scaled(wanted.kind, found, cost, at_most, described)) is not None:
            yield scaled
    if config.transform_first:
        yield from transformed(found)


def transformed(found: Network) -> Iterator[Network]:
    """The found network collapsed before it is trained, without and with batch norms; nothing where none is linear."""
    for norm, suffix in ((False, ""), (True, "-norm")):
        own = found.transformed(f"{found.goal}-{TRANSFORM_FIRST}{suffix}".strip("-"), norm)
        if own.arch != found.arch:
            yield own


def _rival(found: Network, name: str, kind: str, arch: Arch, macro: Macro, resolution: float = 1.0) -> Network:
    return Network(name, found.goal, kind, arch, macro, found.classes, found.se_last, resolution)


def _scaled(kind: str, found: Network, cost: Cost, at_most: float, described: DescribedSpace) -> Network | None:
    place, image = described.deployment, described.space.input_shape

    def network(macro: Macro) -> Network:
        resolution = macro.input[1] / found.macro.input[1]
        own = macro.model_copy(update={"input": found.macro.input})
        return _rival(found, f"{found.goal}-{kind}".strip("-"), kind, uniform(own), own, resolution)

    def cost_of(macro: Macro) -> float:
        rival = network(macro)
        return cost.of_graph(place.compiled(rival.build(image).eval(), rival.image(image)))

    best = largest_scaled(found.macro, kind, cost_of, at_most)
    return None if best is None else network(best)


def uniform(macro: Macro) -> Arch:
    """The architecture with one operator everywhere: k3e6, or the macro's first."""
    slots = MacroSpace(macro, 1).slots
    return tuple(slot.names.index(UNIFORM) if UNIFORM in slot.names else 0 for slot in slots)
