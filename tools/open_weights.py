"""Find the state dict in what people save, and load it into a module without dropping anything in silence."""

import pickle
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nascc.runtime.archive_pickle import TORCH_LEGACY_MAGIC
from nascc.runtime.errors import CorruptFile, UnsafeFile
from nascc.tools.errors import CommandError, one_line

SHOWN = 5
MAX_DEPTH = 3
NEVER = ("optim", "sched", "scaler", "criterion", "loss", "args", "config", "hyper")  # no weights under keys like these
WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel
WAYS_OUT = (
    "where you trust it, load it once and save torch.save(model.state_dict(), 'weights.pt') or a .pt2 with "
    "torch.export.save, or pass --allow-pickle (it can run code)"
)


@dataclass(frozen=True)
class Weights:
    """A state dict, or a whole module that was pickled, and the key path it was found under."""

    value: Mapping[str, Tensor] | nn.Module
    key: str
    left_out: tuple[str, ...] = ()


def load_pickle(path: Path, foreign: tuple[str, ...], *, allow_pickle: bool) -> Any:
    """What torch.save wrote, loaded with weights_only=True unless `allow_pickle`.

    Raises UnsafeFile when the pickle names more than tensors need, CorruptFile when torch can not load it.
    """
    if foreign and not allow_pickle:
        names = ", ".join(foreign[:SHOWN]) + (" and more" if len(foreign) > SHOWN else "")
        raise UnsafeFile(f"'{path}' must be a state dict, found a pickle that imports {names}; {WAYS_OUT}")
    try:
        if allow_pickle and not _written_by_torch(path):
            return pickle.loads(path.read_bytes())
        return torch.load(path, weights_only=not allow_pickle, map_location="cpu")
    except Exception as error:
        if not foreign and not _written_by_torch(path):
            raise CorruptFile(f"'{path}' must be written by torch.save, found another pickle; save it again") from error
        raise CorruptFile(
            f"'{path}' must load with torch {torch.__version__}, but: {one_line(error)}; save it again"
        ) from error


def _written_by_torch(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(len(TORCH_LEGACY_MAGIC))
    return head == TORCH_LEGACY_MAGIC or head.startswith(b"PK")


def find_weights(path: Path, payload: Any, state_key: str | None) -> Weights:
    """The one state dict (or pickled module) in `payload`, at `state_key` (`a.b`) when given.

    Raises CommandError: exit 2 when several are possible or the key leads nowhere, 3 when there is none.
    """
    if state_key is not None:
        return _at_key(path, payload, state_key)
    found = list(_candidates(payload, "", MAX_DEPTH))
    if not found:
        holds = f"keys {_some(payload)}" if isinstance(payload, Mapping) else type(payload).__name__
        raise CommandError(f"'{path}' must hold a state dict, found {holds}; save model.state_dict()", exit_code=3)
    if len(found) > 1:
        keys = _some([weights.key for weights in found])
        raise CommandError(f"'{path}' must hold one state dict, found several: {keys}; pick one with --state-key")
    return found[0]


def _candidates(value: Any, key: str, depth: int) -> Iterable[Weights]:
    if isinstance(value, nn.Module) or _is_state_dict(value):
        yield Weights(value, key)
    elif isinstance(value, Mapping) and depth:
        for name, inner in value.items():
            if isinstance(name, str) and not name.lower().startswith(NEVER):
                yield from _candidates(inner, f"{key}.{name}" if key else name, depth - 1)


def _is_state_dict(value: Any) -> bool:
    """Names to tensors; a mapping that holds further mappings of tensors is what surrounds state dicts."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return False
    tensors = [inner for inner in value.values() if isinstance(inner, Tensor)]
    return len(tensors) > 0 and not any(isinstance(inner, (Mapping, nn.Module)) and inner for inner in value.values())


def _at_key(path: Path, payload: Any, state_key: str) -> Weights:
    """Follow `a.b` through mappings; what is left over selects the tensors whose names begin with it."""
    value, at, rest = payload, "", state_key
    while rest and isinstance(value, Mapping):
        parts = rest.split(".")
        name = next((head for n in range(len(parts), 0, -1) if (head := ".".join(parts[:n])) in value), None)
        if name is None:
            break
        value, at, rest = value[name], f"{at}.{name}" if at else name, rest[len(name) + 1 :]
    if rest and _is_state_dict(value):
        chosen = {name[len(rest) + 1 :]: inner for name, inner in value.items() if name.startswith(f"{rest}.")}
        if chosen:
            return Weights(chosen, state_key, tuple(name for name in value if not name.startswith(f"{rest}.")))
    if rest or not (isinstance(value, nn.Module) or _is_state_dict(value)):
        keys = _some(value) if isinstance(value, Mapping) else f"{type(value).__name__}"
        where = f"under '{at}' " if at else ""
        raise CommandError(f"--state-key '{state_key}' must lead to a state dict in '{path}', found {where}{keys}")
    return Weights(value, state_key)


def load_into(module: nn.Module, weights: Weights, path: Path) -> tuple[str, ...]:
    """Load a state dict into `module`; returns what the user should know (prefixes taken off, dtypes converted).

    Raises CommandError (exit 3) that lists every missing, unexpected and misshapen entry.
    """
    assert isinstance(weights.value, Mapping)
    expected = module.state_dict(keep_vars=True)
    state, notes = unwrapped(dict(weights.value), expected)
    _check_entries(path, expected, state)
    if left := [name for name, value in state.items() if not isinstance(value, Tensor) and name not in expected]:
        state = {name: value for name, value in state.items() if name not in left}
        notes.append(f"'{path}' holds entries that are no tensors, left out: {_some(left)}")
    if converted := {(str(state[n].dtype), str(t.dtype)) for n, t in expected.items() if _converts(state.get(n), t)}:
        notes += [f"weights of '{path}' were converted from {one} to {other}" for one, other in sorted(converted)]
    try:
        result = module.load_state_dict(_with_versions(state, weights.value), strict=False)
    except Exception as error:
        raise CommandError(
            f"'{path}' must fit the model, but {one_line(error)}; check --model and --kwargs", 3
        ) from error
    missing = _really_missing(result.missing_keys, expected, state)
    counters = [name for name in missing if name.endswith("num_batches_tracked")]
    absent = [name for name in missing if name not in counters]
    _refuse(path, [_fault("missing", absent), _fault("unexpected", result.unexpected_keys)])
    if counters:
        notes.append(f"'{path}' holds no '{counters[0]}' ({len(counters)} of them); inference does not use them")
    if weights.left_out:
        notes.append(f"'{path}' holds more than '{weights.key}', left out: {_some(weights.left_out)}")
    return tuple(notes)


def _with_versions(state: dict[str, Any], saved: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state dict with the versions of modules that torch saved beside it, where the names are still the same."""
    versions = getattr(saved, "_metadata", None)
    ordered = OrderedDict(state)
    if versions is not None and state.keys() <= saved.keys():
        ordered._metadata = versions  # type: ignore[attr-defined]
    return ordered


def unwrapped(state: dict[str, Any], expected: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The state dict with the prefixes of wrappers taken off, as far as that makes its names fit; and what was done."""
    notes: list[str] = []
    while not set(state) & set(expected):
        names = [name for name in state if name != COUNTER]
        prefix = names[0].partition(".")[0] + "." if names else "."
        inner = {name.removeprefix(prefix): state[name] for name in names}
        if not all(name.startswith(prefix) for name in names) or not (prefix in WRAPPERS or set(inner) & set(expected)):
            break
        notes += [f"'{COUNTER}' counts averaged models, left out"] if COUNTER in state else []
        notes.append(f"prefix '{prefix}' taken off every name")
        state = inner
    within = "._orig_mod."
    if any(within in name for name in state) and not any(within in name for name in expected):
        state = {name.replace(within, "."): value for name, value in state.items()}
        notes.append("'_orig_mod.' of torch.compile taken out of the names")
    return state, notes


def _check_entries(path: Path, expected: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Shapes, all at once, before anything is copied."""
    pairs = [(name, state[name], value) for name, value in expected.items() if isinstance(state.get(name), Tensor)]
    wrong = [
        f"{name} {list(saved.shape)} instead of {list(value.shape)}"
        for name, saved, value in pairs
        if isinstance(value, Tensor) and not nn.parameter.is_lazy(value) and saved.shape != value.shape
    ]
    faults = [_fault("misshapen", wrong)] if wrong else []
    if faults:
        faults += [_fault("missing", [name for name in expected if name not in state])]
        faults += [_fault("unexpected", [name for name in state if name not in expected])]
    _refuse(path, faults)


def _refuse(path: Path, faults: list[str]) -> None:
    if any(faults):
        found = "; ".join(filter(None, faults))
        raise CommandError(f"'{path}' must fit the model, found {found}; check --model, --kwargs and --state-key", 3)


def _really_missing(missing: list[str], expected: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """Names without those of a tied tensor that was loaded under its other name."""
    loaded = {id(value) for name, value in expected.items() if name in state}
    return [name for name in missing if id(expected.get(name)) not in loaded]


def _converts(saved: Any, value: Any) -> bool:
    return isinstance(saved, Tensor) and isinstance(value, Tensor) and saved.dtype != value.dtype


def _fault(kind: str, names: list[str]) -> str:
    return f"{len(names)} {kind}: {_some(names)}" if names else ""


def _some(names: Iterable[Any]) -> str:
    """The first few names, in quotes; names of a file may hold anything, so they are shown escaped."""
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
