"""Open whatever holds a model: the only place that decides by the kind of a file what happens to it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.export import ExportedProgram

from nascc.nas.checkpoint import load_checkpoint, notes
from nascc.nas.zoo import ARCHITECTURES
from nascc.runtime.errors import CorruptFile
from nascc.runtime.sniff import FileFacts, FileKind, inspect_file
from nascc.tools.errors import CommandError
from nascc.tools.open_callable import ZOO, build_module, parse_kwargs
from nascc.tools.open_pt2 import open_pt2
from nascc.tools.open_weights import find_weights, load_into, load_pickle

WHOLE = (FileKind.PT2, FileKind.NASCC_CHECKPOINT)
EXPORT = "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2')"
NO_MODEL = {
    FileKind.TORCHSCRIPT: "a TorchScript archive, which carries code instead of a module; "
    f"export the module it was made from: {EXPORT}, or save its state_dict() and add --model package.module:callable",
    FileKind.ONNX: "an ONNX file, which is already lowered; pass the PyTorch model it was exported from",
    FileKind.NPZ: "arrays (.npz); pass them with --data, and a model here",
}
AXES = "NCHWD"  # letters for dynamic sizes, by position
SHOWN = 5


@dataclass(frozen=True)
class Opened:
    """An opened model. `default_shapes` are in the grammar of --shapes (`x:Nx3x224x224:float32`), () when unknown."""

    module: nn.Module | ExportedProgram
    name: str
    format: str
    path: Path | None = None
    sha256: str | None = None
    default_shapes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def open_model(
    path: Path | str | None,
    *,
    model: str | None = None,
    kwargs: str | Mapping[str, Any] | None = None,
    state_key: str | None = None,
    allow_pickle: bool = False,
    allow_nonfinite: bool = False,
) -> Opened:
    """Open a file, `zoo:NAME`, or (without a path) what `model` (`package.module:callable`) builds from `kwargs`.

    Raises CommandError, RuntimeTargetError or SearchError; each says in one sentence what must hold, what was found and
    what to do, and carries its exit code: 2 usage or unreadable, 3 corrupt or not finite, 9 unsafe.
    """
    arguments = parse_kwargs(kwargs)
    if path is None or str(path).startswith(ZOO):
        opened = _open_named(path if path is None else str(path), model, arguments, state_key)
    else:
        path = Path(path)
        facts = inspect_file(path)
        if facts.kind in NO_MODEL:
            raise CommandError(f"'{path}' must hold a PyTorch model, found {NO_MODEL[facts.kind]}", exit_code=3)
        if facts.kind in WHOLE:
            _refuse_options(path, facts.kind, model, arguments, state_key)
            opened = _open_whole(path, facts.kind, allow_pickle)
        else:
            opened = _open_weights(path, facts, model, arguments, state_key, allow_pickle)
        opened = replace(opened, path=path, sha256=sha256(path))
    return replace(opened, warnings=opened.warnings + finite_or_refused(opened.module, allow_nonfinite))


def _open_named(zoo: str | None, model: str | None, kwargs: dict[str, Any], state_key: str | None) -> Opened:
    if state_key is not None:
        raise CommandError("--state-key must come with a file of weights, got none; leave it out or pass the file")
    if zoo is not None and model is not None:
        raise CommandError(f"'{zoo}' must come without --model, got '{model}'; leave one of them out")
    if (spelling := zoo or model) is None:
        raise CommandError("a model must be given, got none; pass a file, zoo:NAME or --model package.module:callable")
    module = build_module(spelling, kwargs)
    shapes = ARCHITECTURES[spelling[len(ZOO) :]].inputs if zoo else ()
    return Opened(module, _callable_name(spelling), "zoo" if zoo else "callable", default_shapes=shapes)


def _refuse_options(path: Path, kind: FileKind, model: str | None, kwargs: dict[str, Any], key: str | None) -> None:
    given = {"--model": model, "--kwargs": kwargs or None, "--state-key": key}
    if named := [name for name, value in given.items() if value is not None]:
        raise CommandError(f"'{path}' is a {kind.value} and holds the whole model; leave {' and '.join(named)} out")


def _open_whole(path: Path, kind: FileKind, allow_pickle: bool) -> Opened:
    if kind is FileKind.PT2:
        program, warnings = open_pt2(path, allow_pickle=allow_pickle)
        return Opened(program, path.stem, kind.value, default_shapes=program_shapes(program), warnings=warnings)
    module, meta = load_checkpoint(path)
    return Opened(module, meta.architecture, kind.value, default_shapes=meta.inputs, warnings=notes(meta))


def _open_weights(
    path: Path,
    facts: FileFacts,
    model: str | None,
    kwargs: dict[str, Any],
    state_key: str | None,
    allow_pickle: bool,
) -> Opened:
    """A state dict, or with `allow_pickle` a whole pickled module."""
    if facts.kind is FileKind.SAFETENSORS:
        payload = _load_safetensors(path)
    else:
        payload = load_pickle(path, facts.foreign, allow_pickle=allow_pickle)
    weights = find_weights(path, payload, state_key)
    if isinstance(weights.value, nn.Module):
        _refuse_options(path, facts.kind, model, kwargs, None)
        return Opened(weights.value.eval(), type(weights.value).__name__, facts.kind.value)
    if model is None:
        raise CommandError(
            f"'{path}' holds weights only ({len(weights.value)} tensors, the first is '{next(iter(weights.value))}'); "
            "add --model package.module:callable that builds the network"
        )
    module = build_module(model, kwargs)
    notes = load_into(module, weights, path)
    taken = (f"weights taken from '{weights.key}'",) if weights.key and state_key is None else ()
    return Opened(module, _callable_name(model), facts.kind.value, warnings=taken + notes)


def _callable_name(spelling: str) -> str:
    return spelling.rpartition(":")[2].rpartition(".")[2]


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CorruptFile(f"'{path}' must be a whole .safetensors file, but: {error}; save it again") from error


def finite_or_refused(module: nn.Module | ExportedProgram, allow: bool) -> tuple[str, ...]:
    """Raise CommandError (exit 3) when weights hold NaN or infinities; with `allow`, return that as a warning.

    Infinities are allowed in buffers, where masks hold them, but not in running statistics.
    """
    wrong = [
        f"'{name}' ({bad} of {tensor.numel()})"
        for name, tensor, is_mask in _floating_tensors(module)
        if (bad := _not_finite(tensor, is_mask))
    ]
    if not wrong:
        return ()
    found = f"weights must be finite, found NaN or infinity in {', '.join(wrong[:SHOWN])}" + " ..." * (
        len(wrong) > SHOWN
    )
    if allow:
        return (found,)
    raise CommandError(f"{found}; take a checkpoint from before training diverged", exit_code=3)


def _not_finite(tensor: Tensor, is_mask: bool) -> int:
    """How many elements are NaN, or infinite where that is not allowed."""
    tensor = tensor.float() if tensor.element_size() == 1 else tensor
    return int((torch.isnan(tensor) if is_mask else ~torch.isfinite(tensor)).sum())


def _floating_tensors(module: nn.Module | ExportedProgram) -> list[tuple[str, Tensor, bool]]:
    """(name, tensor, whether it may hold infinities) of every parameter and buffer of a floating dtype."""
    if isinstance(module, ExportedProgram):
        values = {**module.state_dict, **{k: v for k, v in module.constants.items() if isinstance(v, Tensor)}}
    else:
        values = dict(module.named_parameters()) | dict(module.named_buffers())
    return [
        (name, tensor.detach(), not isinstance(tensor, nn.Parameter) and "running_" not in name)
        for name, tensor in values.items()
        if not nn.parameter.is_lazy(tensor) and not tensor.is_meta
        if tensor.is_floating_point() and tensor.layout is torch.strided
    ]


def program_shapes(program: ExportedProgram) -> tuple[str, ...]:
    """The inputs an exported program takes, as --shapes spells them; each dynamic size gets a letter of its own."""
    letters: dict[str, str] = {}
    inputs = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in inputs]
    return tuple(_spelled(n.name, n.meta["val"], letters) for n in nodes if isinstance(n.meta.get("val"), Tensor))


def _spelled(name: str, value: Tensor, letters: dict[str, str]) -> str:
    sizes = []
    shape: Sequence[Any] = value.shape  # torch calls them int, also where they are symbols
    for position, size in enumerate(shape):
        if not isinstance(size, int):
            free = [
                letter for letter in AXES[position:] + AXES + "ABEFGIJKLMOPQRSTUVYZ" if letter not in letters.values()
            ]
            sizes.append(letters.setdefault(str(size), free[0]))
        else:
            sizes.append(str(size))
    return f"{name}:{'x'.join(sizes) or 'scalar'}:{str(value.dtype).removeprefix('torch.')}"


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
