"""Opening models: every kind of file, the shapes in which people save weights, and what is wrong with them."""

import argparse
import hashlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import ExportedProgram

from model_files import edited, pt2_members, small, write_archive, write_pt2
from nascc.nas.checkpoint import save_checkpoint
from nascc.nas.errors import SearchError
from nascc.nas.zoo import ARCHITECTURES
from nascc.runtime.errors import CorruptFile, RuntimeTargetError, UnreadableFile, UnsafeFile
from nascc.tools.errors import CommandError
from nascc.tools.open_model import Opened, open_model, program_shapes

SMALL = "model_files:small"
EXAMPLE = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
NOT_A_BUILDER = 3
BUILT = small()


class Tied(nn.Module):
    """Two names for one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(2, 2, bias=False)
        self.decoder = nn.Linear(2, 2, bias=False)
        self.decoder.weight = self.encoder.weight


class Masked(nn.Module):
    """A buffer of infinities, as attention masks are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((2, 2), float("-inf")))


def score(opened: Opened) -> Tensor:
    module = opened.module.module() if isinstance(opened.module, ExportedProgram) else opened.module
    outputs: dict[str, Tensor] = module(EXAMPLE)
    return outputs["score"]


def seeded_state() -> dict[str, Tensor]:
    """Weights that differ from those `small` comes with."""
    return {name: value + 0.25 if value.is_floating_point() else value for name, value in BUILT.state_dict().items()}


def expected() -> Tensor:
    module = small()
    module.load_state_dict(seeded_state())
    outputs: dict[str, Tensor] = module(EXAMPLE)
    return outputs["score"]


def prefixed(prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in seeded_state().items()}


def fails(sentence: str, exit_code: int, path: Path | str | None, **options: Any) -> str:
    with pytest.raises((CommandError, RuntimeTargetError, SearchError), match=sentence) as caught:
        open_model(path, **options)
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pt2_archive(tmp_path: Path) -> None:
    opened = open_model(write_pt2(path := tmp_path / "net.bin"))
    assert torch.equal(score(opened), BUILT(EXAMPLE)["score"])
    assert (opened.name, opened.format, opened.path) == ("net", "pt2", path)
    assert opened.default_shapes == ("x:Nx3x8x8:float32",)
    assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert opened.warnings == ()


def test_a_pt2_archive_is_what_torch_loads(tmp_path: Path) -> None:
    program = open_model(write_pt2(path := tmp_path / "net.pt2")).module
    assert isinstance(program, ExportedProgram)
    plain = torch.export.load(path)
    assert str(program) == str(plain)
    assert program.range_constraints == plain.range_constraints
    for one, other in zip(program.graph.nodes, plain.graph.nodes, strict=True):
        assert one.meta.get("nn_module_stack") == other.meta.get("nn_module_stack")
    assert program.example_inputs is not None
    assert torch.equal(program.example_inputs[0][0], torch.ones(2, 3, 8, 8))


def test_guards_and_sizes_of_dynamic_programs(tmp_path: Path) -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor, n: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
            with torch.no_grad():
                y = nn.functional.interpolate(x, scale_factor=(1.7, 2.3))
            height, width = y.shape[2:]
            y = y[:, :, : height // 2 * 2, : width // 2 * 2].reshape(x.shape[0], 3, height // 2, 2, width // 2, 2)
            return y.amax((3, 5)) + n["a"], [x.flatten(1)]

    dynamic = {"x": dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO), "n": {"a": None}}
    example = (torch.rand(4, 3, 16, 24), {"a": torch.ones(())})
    program = torch.export.export(Halves(), example, dynamic_shapes=dynamic)
    torch.export.save(program, path := tmp_path / "halves.pt2")
    opened = open_model(path)
    assert isinstance(opened.module, ExportedProgram)
    assert opened.default_shapes == ("x:Nx3xHxW:float32", "n_a:scalar:float32")
    for one, other in zip(opened.module.module()(*example)[1], Halves()(*example)[1], strict=True):
        assert torch.equal(one, other)


def test_an_archive_of_torch_2_7(tmp_path: Path) -> None:
    from torch._export.serde.serialize import SCHEMA_VERSION, serialize

    program = torch.export.export(small(), (EXAMPLE,))
    artifact = serialize(program)
    members = {
        "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
        "serialized_exported_program.json": artifact.exported_program,
        "serialized_state_dict.pt": artifact.state_dict,
        "serialized_constants.pt": artifact.constants,
        "serialized_example_inputs.pt": artifact.example_inputs,
    }
    opened = open_model(write_archive(tmp_path / "old.pt2", members, root=""))
    assert torch.equal(score(opened), BUILT(EXAMPLE)["score"])


def test_an_archive_exported_on_another_device(tmp_path: Path) -> None:
    changed = {
        name: content.replace(b'"type": "cpu", "index": null', b'"type": "cuda", "index": 0')
        for name, content in pt2_members().items()
        if name.endswith(".json")
    }
    opened = open_model(write_pt2(tmp_path / "net.pt2", changed))
    assert torch.equal(score(opened), BUILT(EXAMPLE)["score"])
    assert "exported on cuda; it is opened on the CPU" in opened.warnings[0]


def test_an_archive_of_one_program_of_another_name(tmp_path: Path) -> None:
    renamed = {re.sub(r"\bmodel(?=[._])", "net", name): content for name, content in pt2_members().items()}
    assert torch.equal(score(open_model(write_archive(tmp_path / "net.pt2", renamed))), BUILT(EXAMPLE)["score"])
    several = {name.replace("models/net", f"models/{n}"): content for n in "ab" for name, content in renamed.items()}
    fails("one exported program", 3, write_archive(tmp_path / "two.pt2", several))


def test_an_archive_of_another_schema(tmp_path: Path) -> None:
    def older(program: dict[str, Any]) -> None:
        program["schema_version"]["major"] = 7

    fails(
        "torch .* can load.*export the module again",
        3,
        write_pt2(tmp_path / "n.pt2", edited("models/model.json", older)),
    )


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict(legacy: bool, tmp_path: Path) -> None:
    torch.save(seeded_state(), path := tmp_path / "w.pt", _use_new_zipfile_serialization=not legacy)
    opened = open_model(path, model=SMALL, kwargs='{"channels": 4}')
    assert torch.equal(score(opened), expected())
    assert (opened.name, opened.format) == ("small", "pickle" if legacy else "torch.save")
    assert not opened.module.training  # type: ignore[union-attr]
    assert "holds weights only (7 tensors" in fails("add --model", 2, path)


def test_safetensors(tmp_path: Path) -> None:
    save_file(seeded_state(), path := tmp_path / "w.bin")
    assert torch.equal(score(open_model(path, model=SMALL, kwargs={"channels": 4})), expected())
    fails("add --model", 2, path)


@pytest.mark.parametrize(
    ("payload", "note"),
    [
        ({"state_dict": seeded_state(), "epoch": 3, "optimizer": {"state": {0: {"m": torch.ones(1)}}}}, "'state_dict'"),
        ({"model": OrderedDict(seeded_state()), "lr": 0.1}, "'model'"),
        ({"model_ema": {"module": seeded_state()}, "optim_state": seeded_state()}, "'model_ema.module'"),
        ({"ema": prefixed("module."), "best": torch.ones(())}, "'module.'"),
        ({"net": prefixed("module._orig_mod.")}, "'_orig_mod.'"),
        (prefixed("_orig_mod.module."), "'module.'"),
        (prefixed("model."), "'model.'"),
        ({**prefixed("module."), "n_averaged": torch.tensor(3)}, "counts averaged models"),
        ({name.replace("conv.", "conv._orig_mod."): value for name, value in seeded_state().items()}, "torch.compile"),
        ({**seeded_state(), "epoch": 3}, "'epoch'"),
        ({name: v.double() for name, v in seeded_state().items()}, "from torch.float64 to torch.float32"),
    ],
)
def test_weights_as_people_save_them(payload: dict[str, Any], note: str, tmp_path: Path) -> None:
    torch.save(payload, path := tmp_path / "w.pt")
    opened = open_model(path, model=SMALL)
    torch.testing.assert_close(score(opened), expected(), rtol=1e-6, atol=1e-6)
    assert any(note in warning for warning in opened.warnings), opened.warnings


def test_counters_that_inference_does_not_use_may_be_missing(tmp_path: Path) -> None:
    state = small().state_dict()
    del state["bn.num_batches_tracked"]
    torch.save(state, path := tmp_path / "w.pt")
    assert "holds no 'bn.num_batches_tracked'" in open_model(path, model=SMALL).warnings[0]
    save_file(state, path)
    assert open_model(path, model=SMALL).warnings == ()


def test_several_state_dicts_need_a_key(tmp_path: Path) -> None:
    other = BUILT.state_dict()
    payload = {
        "model": other,
        "model_ema": {"state_dict": seeded_state()},
        "all": {**prefixed("net."), **prefixed("x.")},
    }
    torch.save(payload, path := tmp_path / "w.pt")
    found = fails("several: .*pick one with --state-key", 2, path, model=SMALL)
    assert all(f"'{key}'" in found for key in ("model", "model_ema.state_dict", "all"))
    assert torch.equal(score(open_model(path, model=SMALL, state_key="model_ema.state_dict")), expected())
    assert torch.equal(score(open_model(path, model=SMALL, state_key="model")), BUILT(EXAMPLE)["score"])
    chosen = open_model(path, model=SMALL, state_key="all.net")
    assert torch.equal(score(chosen), expected())
    assert "left out: 'x.conv.weight'" in chosen.warnings[0]
    fails("'model.nothing' must lead to a state dict", 2, path, model=SMALL, state_key="model.nothing")
    fails("must lead to a state dict", 2, path, model=SMALL, state_key="model_ema")
    fails("must lead to a state dict", 2, path, model=SMALL, state_key="none")


def test_missing_and_unexpected_names_are_all_listed(tmp_path: Path) -> None:
    state = seeded_state()
    del state["conv.bias"]
    torch.save({**state, "head.weight": torch.ones(1)}, path := tmp_path / "w.pt")
    found = fails("must fit the model", 3, path, model=SMALL)
    assert "1 missing: 'conv.bias'; 1 unexpected: 'head.weight'" in found
    torch.save({"a": torch.ones(1)}, path)
    assert "1 unexpected: 'a'" in fails("6 missing: 'conv.weight'", 3, path, model=SMALL)


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    torch.save(seeded_state(), path := tmp_path / "w.pt")
    found = fails("must fit the model", 3, path, model=SMALL, kwargs={"channels": 5})
    assert "'conv.weight [4, 3, 3, 3] instead of [5, 3, 3, 3]'" in found
    assert "6 misshapen" in found


def test_tied_weights_count_as_loaded(tmp_path: Path) -> None:
    save_file({"encoder.weight": torch.eye(2)}, path := tmp_path / "w.safetensors")
    opened = open_model(path, model=f"{__name__}:Tied")
    assert torch.equal(opened.module.decoder.weight, torch.eye(2))  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("payload", [{}, {"epoch": 3}, [1, 2], {"optimizer": seeded_state()}, {1: torch.ones(1)}, 7])
def test_files_without_weights(payload: Any, tmp_path: Path) -> None:
    torch.save(payload, path := tmp_path / "w.pt")
    fails("must hold a state dict", 3, path, model=SMALL)


def test_a_pickled_module_needs_allow_pickle(tmp_path: Path) -> None:
    torch.save(small(), path := tmp_path / "m.pt")
    found = fails("imports", 9, path)
    assert "torch.save(model.state_dict()" in found and "torch.export.save" in found and "--allow-pickle" in found
    opened = open_model(path, allow_pickle=True)
    assert torch.equal(score(opened), BUILT(EXAMPLE)["score"])
    assert opened.name == "Small"
    torch.save({"ema": small(), "args": argparse.Namespace(a=1)}, path)
    fails("imports argparse.Namespace", 9, path)
    assert torch.equal(score(open_model(path, allow_pickle=True)), BUILT(EXAMPLE)["score"])


def test_allow_pickle_opens_what_is_safe_as_well(tmp_path: Path) -> None:
    assert torch.equal(score(open_model(write_pt2(tmp_path / "n.pt2"), allow_pickle=True)), BUILT(EXAMPLE)["score"])
    torch.save(seeded_state(), path := tmp_path / "w.pt")
    assert torch.equal(score(open_model(path, model=SMALL, allow_pickle=True)), expected())


def test_a_nascc_checkpoint(tmp_path: Path) -> None:
    config = {"width": 0.1, "num_classes": 3, "seed": 5}
    network = ARCHITECTURES["mobilenet_v2"](**config)
    save_checkpoint(path := tmp_path / "net.safetensors", "mobilenet_v2", config, network, ["x:1x3x64x64"])
    opened = open_model(path)
    images = torch.ones(1, 3, 64, 64)
    assert torch.equal(opened.module(images), network(images))  # type: ignore[operator]
    assert (opened.name, opened.format, opened.default_shapes) == ("mobilenet_v2", "nascc checkpoint", ("x:1x3x64x64",))
    fails("holds the whole model; leave --model and --state-key out", 2, path, model=SMALL, state_key="a")


def test_a_reference_network_by_name() -> None:
    opened = open_model("zoo:mobilenet_v2", kwargs='{"width": 0.25, "num_classes": 3}')
    assert (opened.name, opened.format, opened.path, opened.sha256) == ("mobilenet_v2", "zoo", None, None)
    assert opened.default_shapes == ("x:1x3x224x224",)
    fails("did you mean 'mobilenet_v2'", 2, "zoo:mobilenetv2")
    fails("did you mean .*'mobilenet_v2', .*'repvgg_a0', 'resnet18'", 2, "zoo:")
    fails("width: Input should be a valid number", 2, "zoo:mobilenet_v2", kwargs='{"width": "a"}')
    fails("without --model", 2, "zoo:repvgg_a0", model=SMALL)


def test_a_callable_without_a_file() -> None:
    opened = open_model(None, model=SMALL, kwargs={"channels": 4})
    assert torch.equal(score(opened), BUILT(EXAMPLE)["score"])
    assert (opened.name, opened.format, opened.default_shapes) == ("small", "callable", ())
    assert open_model(None, model=f"{__name__}:BUILT").module is BUILT
    fails("a model must be given", 2, None)
    fails("--state-key must come with a file", 2, None, model=SMALL, state_key="a")


@pytest.mark.parametrize(
    ("spelling", "sentence"),
    [
        ("model_files", "must be package.module:callable"),
        ("model_files:", "must be package.module:callable"),
        ("os;print():x", "must be package.module:callable"),
        ("no_such_module:build", "must be importable.*no_such_module"),
        ("model_files:smal", "did you mean 'small'"),
        ("model_files:small.x.y", "found none"),
        (f"{__name__}:NOT_A_BUILDER", "must be callable, found int"),
        ("builtins:dict", "must return a torch.nn.Module, returned dict"),
        ("operator:truediv", "raised TypeError"),
    ],
)
def test_callables_that_do_not_build(spelling: str, sentence: str) -> None:
    fails(sentence, 2, None, model=spelling)


def test_a_module_that_can_not_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_on_import.py").write_text("1 / 0")
    (tmp_path / "own_model.py").write_text("from torch import nn\ndef build(): return nn.ReLU()")
    monkeypatch.chdir(tmp_path)
    fails("ZeroDivisionError", 2, None, model="raises_on_import:build")
    assert isinstance(open_model(None, model="own_model:build").module, nn.ReLU)


@pytest.mark.parametrize("kwargs", ["{", "[1]", "3", "width=3", '{"a": }'])
def test_kwargs_that_are_no_json_object(kwargs: str) -> None:
    fails("--kwargs must be a JSON object", 2, None, model=SMALL, kwargs=kwargs)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_must_be_finite(value: float, tmp_path: Path) -> None:
    state = seeded_state()
    state["conv.weight"] = state["conv.weight"].clone()
    state["conv.weight"][0, 0, 0, :2] = value
    state["bn.running_var"] = torch.full((4,), value)
    torch.save(state, path := tmp_path / "w.pt")
    found = fails("weights must be finite", 3, path, model=SMALL)
    assert "'conv.weight' (2 of 108), 'bn.running_var' (4 of 4)" in found
    opened = open_model(path, model=SMALL, allow_nonfinite=True)
    assert "'conv.weight' (2 of 108)" in opened.warnings[-1]


def test_weights_of_a_program_must_be_finite(tmp_path: Path) -> None:
    nan = torch.full((4,), float("nan")).numpy().tobytes()
    fails("found NaN or infinity in 'conv.bias'", 3, write_pt2(tmp_path / "n.pt2", {"data/weights/weight_1": nan}))


def test_masks_may_hold_infinities() -> None:
    assert isinstance(open_model(None, model=f"{__name__}:Masked").module, Masked)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    import numpy as np

    np.savez(path := tmp_path / "x.npz", x=np.zeros(1))
    fails("pass them with --data", 3, path)
    fails("nothing there", 2, tmp_path / "missing.pt")
    (empty := tmp_path / "empty.pt").touch()
    fails("empty file", 3, empty)
    for kind, code in ((UnreadableFile, 2), (CorruptFile, 3), (UnsafeFile, 9)):
        assert kind.exit_code == code


def test_each_dynamic_size_has_its_letter() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a.sum() + b.sum()

    auto = torch.export.Dim.AUTO
    example = (torch.ones(2, 3, 5), torch.ones(4, 2, dtype=torch.uint8))
    program = torch.export.export(Two(), example, dynamic_shapes={"a": {0: auto, 2: auto}, "b": {0: auto}})
    assert program_shapes(program) == ("a:Nx3xH:float32", "b:Cx2:uint8")
