"""From a chain of trained parts to the graph that is compiled."""

from collections.abc import Mapping

import torch
from torch import Tensor, fx, nn

from nascc.compiler.capture import capture
from nascc.compiler.shapes import parse_shapes
from nascc.nas.core import Arch, Ctx
from nascc.nas.hant.study import Study
from nascc.nas.regions import Chain
from nascc.nas.regions.norms import constants_of
from nascc.passes import PassError, Region, ReplaceRegions, run_pass
from nascc.passes import graph as g


def student_graph(study: Study, arch: Arch, chain: Chain) -> fx.GraphModule:
    """The graph of a student for the deployed batch: the teacher's with trained regions and tuned constants.

    The teacher's own architecture with its own numbers is the teacher's graph, bit for bit.
    """
    batch, teacher = study.config.batch, study.teacher
    graph = teacher.at_batch(batch)
    regions = []
    for slot, index in enumerate(arch):
        if index:
            place = teacher.places[slot]
            block = captured_block(chain.block(slot), teacher.contexts[slot], batch)
            operator = study.space.slots[slot].names[index].replace(".", "_")
            regions.append(Region(f"{place.name}.{operator}", place.begin, place.end, block))
    kept = {part for slot, part in enumerate(chain.places) if not arch[slot]} | (
        set(range(len(chain.parts))) - set(chain.places)
    )
    constants = {n: t for index in sorted(kept) for n, t in constants_of(chain.parts[index]).items()}
    result = run_pass(ReplaceRegions(tuple(regions), constants=_changed(graph, constants)), graph)
    if result.rejects:
        raise PassError("; ".join(reject.reason for reject in result.rejects))
    return graph


def captured_block(module: nn.Module, ctx: Ctx, batch: int) -> fx.GraphModule:
    """A candidate in nascc's IR, in inference mode."""
    shape = "x".join(map(str, (batch, *ctx.shape)))
    return capture(module.eval(), shapes=parse_shapes([f"x:{shape}"])).gm


def _changed(graph: fx.GraphModule, constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those that differ from what the graph has."""
    there = dict(g.constants(graph))
    return {
        name: value
        for name, value in constants.items()
        if name in there and not torch.equal(value.to(there[name].dtype), there[name])
    }
