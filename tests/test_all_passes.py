"""What holds for every pass in the table, and for the default pipeline, on every network."""

import pytest

from kit import ir, operators, outputs, relative_error
from models import MODELS, X, model
from nascc.passes import PASSES, Pass, default_pipeline, run_pass, run_pipeline
from nascc.passes import graph as g


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cls", PASSES, ids=lambda cls: cls.__name__)
def test_keeps_what_is_computed(cls: type[Pass], name: str) -> None:
    gm = ir(model(name), X)
    before = outputs(gm, [X])
    result = run_pass(cls(), gm)
    assert relative_error(before, outputs(gm, [X])) <= cls.numerics.rtol
    after = operators(gm)
    assert not run_pass(cls(), gm), f"a second run changed the graph again: {result}"
    assert operators(gm) == after


@pytest.mark.parametrize("name", MODELS)
def test_the_default_pipeline_keeps_shapes_dtypes_and_provenance(name: str) -> None:
    gm = ir(model(name), X)
    reference = g.copy_graph(gm)
    modules = {g.module_path(n) for n in gm.graph.nodes if n.op == "call_function"}
    run_pipeline(default_pipeline(PASSES), gm)
    assert relative_error(outputs(reference, [X]), outputs(gm, [X])) <= 1e-10
    for node in gm.graph.nodes:
        if node.op == "call_function":
            assert g.module_path(node) in modules
            assert not node.meta["module"] or node.meta["module"] in node.meta["sources"]
    last, first = (next(iter(m.graph.find_nodes(op="output"))).args[0] for m in (gm, reference))
    assert [(n.meta["val"].shape, g.dtype(n)) for n in last] == [(n.meta["val"].shape, g.dtype(n)) for n in first]


@pytest.mark.parametrize("cls", PASSES, ids=lambda cls: cls.__name__)
def test_is_a_value_with_a_specification(cls: type[Pass]) -> None:
    assert cls() == cls()
    assert hash(cls()) == hash(cls())
    assert cls.__doc__ and ("->" in cls.__doc__ or "=" in cls.__doc__)
    assert not cls.__name__.endswith("Pass")
