"""The test kit: what every pass must pass, whatever it does."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from nascc.passes import Pass, PassResult, check_graph, from_exported, run_pass
from nascc.passes import graph as g


def ir(model: nn.Module, *inputs: Tensor, dynamic: Any = None) -> fx.GraphModule:
    """A module in nascc's IR."""
    with torch.no_grad():
        program = torch.export.export(model.eval(), inputs, dynamic_shapes=dynamic, strict=False)
    return from_exported(program)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with seeded parameters, and batch norms whose statistics are nowhere trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
            elif name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
    return model.eval()


def operators(gm: fx.GraphModule) -> Counter[str]:
    """How often each operator is called."""
    return Counter(str(n.target) for n in gm.graph.nodes if n.op == "call_function")


def outputs(gm: fx.GraphModule, inputs: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """What the graph computes in float64."""
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    with torch.no_grad():
        return tuple(fx.Interpreter(gm).run(*wide))


def relative_error(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """The largest difference over all outputs, relative to the largest value of each; shapes must agree."""
    assert [v.shape for v in before] == [v.shape for v in after]
    assert [v.dtype for v in before] == [v.dtype for v in after]
    pairs = [(b.double(), a.double()) for b, a in zip(before, after, strict=True) if b.numel()]
    return max((float((b - a).abs().max() / b.abs().max().clamp_min(1e-300)) for b, a in pairs), default=0.0)


def check_pass(
    p: Pass,
    model: nn.Module,
    *inputs: Tensor,
    expected: nn.Module | None = None,
    rewrites: int | None = None,
    rejects: Sequence[str] = (),
    dynamic: Any = None,
) -> PassResult:
    """Run a pass on a module and assert all it claims.

    The outputs agree in float64 to what `p.numerics` declares, on the given and on other inputs; the operators are
    those of `expected`; as many rewrites happened as `rewrites` says; each text of `rejects` stands in the reason of a
    reject, and there are no others; a second run changes nothing.
    """
    gm = ir(model, *inputs, dynamic=dynamic)
    before = g.copy_graph(gm)
    result = run_pass(p, gm)
    check_graph(gm)
    for x in (inputs, _others(inputs)):
        error = relative_error(outputs(before, x), outputs(gm, x))
        assert error <= p.numerics.rtol, f"{p.name} declares {p.numerics}, but the outputs differ by {error:.1e}"
    if expected is not None:
        wanted = operators(ir(expected, *inputs, dynamic=dynamic))
        assert operators(gm) == wanted, f"{operators(gm)} is not {wanted}"
    if rewrites is not None:
        assert len(result.rewrites) == rewrites, f"{len(result.rewrites)} rewrites, not {rewrites}: {result}"
    reasons = [r.reason for r in result.rejects]
    assert len(reasons) == len(rejects), f"rejects are {reasons}, not {list(rejects)}"
    assert all(any(text in reason for reason in reasons) for text in rejects), f"{list(rejects)} not all in {reasons}"
    again = operators(gm)
    assert not run_pass(p, gm).rewrites
    assert operators(gm) == again
    return result


def _others(inputs: Sequence[Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(99)
    return [
        torch.randn(x.shape, generator=generator, dtype=torch.float64) * 3 if x.is_floating_point() else x
        for x in inputs
    ]
