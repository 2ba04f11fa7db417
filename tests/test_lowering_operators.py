"""What the writer makes of each layer and operator agrees with eager PyTorch, at old and new operator sets."""

from functools import cache

import pytest
from torch import fx

from lowering_kit import Case, agree, capture, checked, write
from lowering_layer_cases import FAMILIES as LAYERS
from lowering_operator_cases import FAMILIES as OPERATORS
from nascc.compiler.lowering import CanNotLower

CASES = {f"{family}: {name}": case for family, cases in {**LAYERS, **OPERATORS}.items() for name, case in cases.items()}


@cache
def graph_of(name: str) -> tuple[Case, fx.GraphModule]:
    return CASES[name], capture(CASES[name].module, CASES[name].inputs)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_agrees_with_eager(name: str, opset: int) -> None:
    case, graph = graph_of(name)
    if opset < case.since:
        with pytest.raises(CanNotLower, match=f"from opset {case.since} on"):
            write(graph, opset)
    else:
        agree(case.module, checked(write(graph, opset)), case.inputs, case.rtol)
