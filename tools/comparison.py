"""What `nascc verify` compares: each side an ONNX file as it is, or a model captured with the other side's shapes."""

from dataclasses import dataclass
from pathlib import Path

from torch.export import ExportedProgram

from nascc.compiler import capture
from nascc.compiler.capture import Captured
from nascc.compiler.report import InputFile
from nascc.compiler.shapes import InputSpec, parse_shapes
from nascc.compiler.verify_files import onnx_inputs
from nascc.runtime.sniff import FileKind, sniff
from nascc.tools.open_model import Opened, sha256
from nascc.tools.source import Source

Shapes = tuple[InputSpec, ...]
WEIGHTS = (FileKind.SAFETENSORS, FileKind.TORCH_ZIP, FileKind.PICKLE)


@dataclass(frozen=True)
class Inputs:
    """What the user says of the inputs; `shapes` is empty when nothing is said."""

    shapes: Shapes = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    seed: int = 0


@dataclass(frozen=True)
class Side:
    """One side: an ONNX file, or an opened model."""

    source: Source
    opened: Opened | None

    @classmethod
    def of(cls, source: Source) -> "Side":
        """Open a side; `--model` and its like serve weights only. Raises what `sniff` and `open_model` raise."""
        kind = None if source.path is None else sniff(source.path)
        if kind not in WEIGHTS:
            source = Source(source.file, allow_pickle=source.allow_pickle)
        return cls(source, None if kind is FileKind.ONNX else source.open())

    @property
    def path(self) -> Path:
        """The ONNX file."""
        assert self.source.path is not None
        return self.source.path

    @property
    def shapes(self) -> Shapes:
        """The inputs that the side is known to take; empty when it does not say."""
        return onnx_inputs(self.path) if self.opened is None else parse_shapes(self.opened.default_shapes)

    @property
    def entries(self) -> tuple[InputFile, ...]:
        """The report's entry of the file."""
        if self.opened is not None:
            return self.source.entries(self.opened)
        return (InputFile(path=str(self.path), sha256=sha256(self.path), format=FileKind.ONNX.value),)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What opening the side had to say."""
        return self.opened.warnings if self.opened is not None else ()


def networks(a: Side, b: Side, inputs: Inputs) -> tuple[Captured | Path, Captured | Path]:
    """Both sides ready to be compared."""
    return network(a, b, inputs), network(b, a, inputs)


def network(side: Side, other: Side, inputs: Inputs) -> Captured | Path:
    """An ONNX file as its path; a model captured with the shapes asked for, the other side's, or its own.

    An archive has shapes of its own, which only the user may narrow down.
    """
    if side.opened is None:
        return side.path
    module = side.opened.module
    shapes = inputs.shapes or (() if isinstance(module, ExportedProgram) else other.shapes or side.shapes)
    return capture(module, shapes=shapes or None, mean=inputs.mean, std=inputs.std, seed=inputs.seed)
