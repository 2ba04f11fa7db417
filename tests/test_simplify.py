"""Onnxsim in its worker: what it may change, and that nothing it does can hurt."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nascc.compiler import simplify as module
from nascc.compiler.simplify import simplify

WRITES = "import pathlib, sys; pathlib.Path(sys.argv[2]).write_bytes({})"


def network() -> ModelProto:
    """y = x W behind an Identity and beside a dead Shape, with a dynamic batch."""
    weight = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(3, 4), "w")
    nodes = [
        helper.make_node("Identity", ["x"], ["a"], name="stem/Identity"),
        helper.make_node("Shape", ["a"], ["b"], name="stem/Shape"),
        helper.make_node("MatMul", ["a", "w"], ["y"], name="head/MatMul"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])
    graph = helper.make_graph(nodes, "net", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="nascc")
    helper.set_model_props(model, {"nascc.sources": "{}"})
    return model


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in the place of the worker; it is called with SOURCE and RESULT."""

    def install(code: str) -> None:
        def command(source: Path, result: Path, mib: int) -> list[str]:
            return [sys.executable, "-c", code, str(source), str(result)]

        monkeypatch.setattr(module, "_command", command)

    return install


@pytest.fixture
def returns(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModelProto], None]:
    """Lets onnxsim return a given model."""

    def install(model: ModelProto) -> None:
        monkeypatch.setattr(module, "_run", lambda *_: model)

    return install


def test_simplifies_and_keeps_names_metadata_and_interface() -> None:
    pytest.importorskip("onnxsim", exc_type=ImportError)
    model = network()
    result, problem = simplify(model)
    assert problem is None
    assert [(n.op_type, n.name) for n in result.graph.node] == [("MatMul", "head/MatMul")]
    assert list(result.graph.input) == list(model.graph.input)
    assert list(result.graph.output) == list(model.graph.output)
    assert [(p.key, p.value) for p in result.metadata_props] == [("nascc.sources", "{}")]
    assert (result.ir_version, result.producer_name, result.graph.name) == (7, "nascc", "net")
    assert [(o.domain, o.version) for o in result.opset_import] == [("", 13)]


FAILURES = {
    "dies": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", f"ended by signal {signal.SIGSEGV.value}"),
    "hangs": ("import time; time.sleep(60)", "took longer than 1 s"),
    "fails": ("raise SystemExit('one line\\nno memory left')", "no memory left"),
    "fails in silence": ("raise SystemExit(3)", "exited with 3"),
    "writes nothing": ("", "no readable model"),
    "writes garbage": (WRITES.format("b'\\\\xff' * 9"), "no readable model"),
    "writes an empty model": (WRITES.format("b''"), "changed the opset"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_worker_that_fails_changes_nothing(case: str, worker: Callable[[str], None]) -> None:
    code, reason = FAILURES[case]
    worker(code)
    model = network()
    before = model.SerializeToString(deterministic=True)
    result, problem = simplify(model, seconds=1 if case == "hangs" else 60)
    assert result is model
    assert model.SerializeToString(deterministic=True) == before
    assert problem is not None
    assert reason in problem


def test_too_little_memory_is_a_reason() -> None:
    pytest.importorskip("resource")
    _, problem = simplify(network(), mib=64)
    assert problem


def test_a_missing_onnxsim_is_a_reason(worker: Callable[[str], None]) -> None:
    worker(
        "import runpy, sys; sys.modules['onnxsim'] = None; sys.argv.append('8192'); "
        f"runpy.run_path({str(module.WORKER)!r}, run_name='__main__')"
    )
    model = network()
    result, problem = simplify(model)
    assert result is model
    assert problem == "onnxsim is not installed; `pip install nascc[simplify]`"


def another_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 18


def another_domain(model: ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def renamed_input(model: ModelProto) -> None:
    model.graph.input[0].name = "z"


def frozen_batch(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1


def another_type(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def lost_output(model: ModelProto) -> None:
    del model.graph.output[:]


def bloated(model: ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(2**19, np.float32), "zeros"))


def unsorted(model: ModelProto) -> None:
    model.graph.node.reverse()


CHANGES = {
    another_opset: "changed the opset",
    another_domain: "changed the opset",
    renamed_input: "changed the inputs from ['x: float ['N', 3]'] to ['z: float ['N', 3]']",
    frozen_batch: "changed the outputs",
    another_type: "changed the inputs",
    lost_output: "changed the outputs",
    bloated: "must take at most",
    unsorted: "is not valid",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_wrong_result_is_not_used(
    change: Callable[[ModelProto], None], returns: Callable[[ModelProto], None]
) -> None:
    found, model = network(), network()
    change(found)
    returns(found)
    result, problem = simplify(model)
    assert result is model
    assert problem is not None
    assert CHANGES[change].replace('"', "'") in problem.replace('"', "'")


def test_a_size_without_a_name_may_become_known(returns: Callable[[ModelProto], None]) -> None:
    model, found = network(), network()
    model.graph.output[0].type.tensor_type.shape.dim[0].Clear()
    returns(found)
    assert simplify(model)[1] is None


def test_new_nodes_get_names_and_the_old_ir_version_stays(returns: Callable[[ModelProto], None]) -> None:
    model, found = network(), network()
    found.ir_version = 10
    found.graph.node[2].name = ""
    returns(found)
    result, problem = simplify(model)
    assert problem is None
    assert [n.name for n in result.graph.node] == ["stem/Identity", "stem/Shape", "y"]
    assert result.ir_version == 7
    onnx.checker.check_model(result, full_check=True)
