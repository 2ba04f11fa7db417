"""Open a network for an option that takes a file and nothing beside it, so that the file has to hold all of it."""

from pathlib import Path

from nascc.runtime.archive_pt2 import WAYS_OUT
from nascc.runtime.errors import UnsafeFile
from nascc.runtime.sniff import FileKind, inspect_file
from nascc.tools.errors import CommandError
from nascc.tools.open_model import EXPORT, NO_MODEL, WHOLE, Opened, open_model
from nascc.tools.source import ZOO

FOUND = {
    FileKind.SAFETENSORS: "weights only",
    FileKind.TORCH_ZIP: "weights only",
    FileKind.PICKLE: "a pickle",
    FileKind.TORCHSCRIPT: "a TorchScript archive, which carries code instead of a module",
    FileKind.ONNX: "an ONNX file, which is already lowered",
    FileKind.NPZ: "arrays (.npz)",
}


def open_alone(file: str, option: str) -> Opened:
    """A whole network, or `zoo:NAME`. Raises what `open_model` raises, with advice that needs no further option."""
    if file.startswith(ZOO):
        return open_model(file)
    facts = inspect_file(Path(file))
    if facts.kind not in WHOLE:
        found = FOUND[facts.kind] if not facts.foreign else f"a pickle that imports {facts.foreign[0]}"
        code = 3 if facts.kind in NO_MODEL else UnsafeFile.exit_code if facts.foreign else 2
        raise CommandError(
            f"'{file}' must hold a whole network for {option}, found {found}; build the network where its code is, "
            f"with its weights, and export it: {EXPORT}",
            exit_code=code,
        )
    try:
        return open_model(file)
    except UnsafeFile as error:
        raise UnsafeFile(str(error).replace(WAYS_OUT, f"export the original module again: {EXPORT}")) from error
