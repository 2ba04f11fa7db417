"""Write and open nascc checkpoints: a .safetensors file whose header says which registered architecture it fills."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nascc.nas.errors import CorruptCheckpoint, SearchError, UnsafeCheckpoint
from nascc.nas.run.files import NO_ROOM, write_whole
from nascc.nas.zoo import ARCHITECTURES, Architecture
from nascc.nas.zoo.searched import Hybrid
from nascc.runtime.archive_safetensors import CHECKPOINT_KEY, read_header
from nascc.runtime.sniff import FileKind, sniff

SCHEMA: Literal["nascc.checkpoint/1"] = "nascc.checkpoint/1"
SHOWN = 5


class CheckpointMeta(BaseModel):
    """What the header of a checkpoint says, besides the tensors. `inputs` are shapes like `x:1x3x224x224`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    schema_: Literal["nascc.checkpoint/1"] = SCHEMA
    architecture: str
    config: dict[str, JsonValue]
    inputs: tuple[str, ...]


def save_checkpoint(
    path: Path | str,
    architecture: str,
    config: Mapping[str, Any],
    module: nn.Module,
    inputs: Sequence[str] | None = None,
) -> None:
    """Write `module`, built by `ARCHITECTURES[architecture](**config)`, as one file that appears whole or not at all.

    Raises SearchError when the architecture is not registered, CorruptCheckpoint when `module` is not what it builds.
    """
    path, builder = Path(path), _registered(architecture, "the checkpoint")
    meta = CheckpointMeta(
        architecture=architecture, config=dict(config), inputs=builder.inputs if inputs is None else tuple(inputs)
    )
    state = module.state_dict()
    _check_state(f"the module for '{path}'", builder(**config).state_dict(), state)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    content = save(tensors, metadata={CHECKPOINT_KEY: meta.model_dump_json()})
    _replace(path, content)


def load_checkpoint(path: Path | str) -> tuple[nn.Module, CheckpointMeta]:
    """Build the architecture a checkpoint names and fill it, in eval mode.

    Raises CorruptCheckpoint when the header or the tensors do not fit, UnsafeCheckpoint when it names something to
    import, and what `nascc.runtime.sniff` raises when the file can not be read at all.
    """
    path = Path(path)
    if (kind := sniff(path)) is not FileKind.NASCC_CHECKPOINT:
        raise CorruptCheckpoint(f"'{path}' must be a nascc checkpoint, found {kind.value}; open it with --model")
    meta = _read_meta(path)
    builder = _registered(meta.architecture, f"'{path}'")
    try:
        module = builder(**meta.config)
        state = load_file(path)
    except (SearchError, SafetensorError, OSError) as error:
        raise CorruptCheckpoint(f"'{path}' must describe a network that can be built, but: {error}") from error
    _check_state(f"'{path}'", module.state_dict(), state)
    module.load_state_dict(state)
    return module.eval(), meta


def notes(meta: CheckpointMeta) -> tuple[str, ...]:
    """What to tell of the network in a checkpoint: activations that are not linear yet."""
    found = meta.config.get("hybrid")
    return () if found is None else (str(Hybrid.model_validate(found)),)


def _read_meta(path: Path) -> CheckpointMeta:
    try:
        return CheckpointMeta.model_validate_json(read_header(path).metadata[CHECKPOINT_KEY])
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'header'}: {f['msg']}" for f in error.errors()[:SHOWN])
        raise CorruptCheckpoint(f"the header of '{path}' must follow {SCHEMA}, found {faults}") from error


def _registered(name: str, owner: str) -> Architecture:
    """The architecture of this name: the table is all there is, nothing is ever imported for a checkpoint."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    known = ", ".join(f"'{near}'" for near in get_close_matches(name, ARCHITECTURES) or sorted(ARCHITECTURES))
    if not name.isidentifier():
        raise UnsafeCheckpoint(
            f"{owner} must name a registered architecture, found '{name[:80]}', which is no name of one: "
            f"nothing was imported; registered: {known}"
        )
    raise CorruptCheckpoint(f"{owner} must name a registered architecture, found '{name[:80]}'; did you mean {known}?")


def _check_state(owner: str, expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Names, shapes and dtypes must be those of the architecture, all violations at once."""
    faults = [f"missing '{name}'" for name in expected if name not in state]
    faults += [f"unexpected '{name}'" for name in state if name not in expected]
    faults += [
        f"'{name}' {_described(state[name])} instead of {_described(tensor)}"
        for name, tensor in expected.items()
        if name in state and _described(state[name]) != _described(tensor)
    ]
    if faults:
        more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise CorruptCheckpoint(f"{owner} must fill its architecture, found {', '.join(faults[:SHOWN])}{more}")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _replace(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename. Raises SearchError when that is not possible."""
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder '{path.parent}'")
        write_whole(path, content)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise SearchError(f"'{path}' must be writable, but: {error}") from error
