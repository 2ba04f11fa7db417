"""Put a compiled network into a file: ONNX, or an exported program for PyTorch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from nascc.compiler.errors import UsageError
from nascc.compiler.examples import open_sizes
from nascc.compiler.lowering.save import write_onnx
from nascc.compiler.output import atomically
from nascc.compiler.provenance import output_file
from nascc.passes import graph as g

if TYPE_CHECKING:
    from nascc.compiler.compile import Compiled


def save(compiled: "Compiled", path: Path) -> Path:
    """Write `.onnx` or `.pt2` by atomic rename and add it to the report. Raises UsageError for other suffixes."""
    if path.suffix == ".onnx":
        model = compiled.onnx
        with atomically(path) as temporary:
            write_onnx(model, temporary)
        entry = output_file(path, opset=model.opset_import[0].version, ir_version=model.ir_version)
    elif path.suffix == ".pt2":
        program = exported(compiled)
        with atomically(path) as temporary:
            torch.export.save(program, temporary)
        entry = output_file(path)
    else:
        raise UsageError(f"an output must end in .onnx or .pt2, found '{path.name}'")
    compiled.report.outputs = (*compiled.report.outputs, entry)
    return path


def exported(compiled: "Compiled") -> ExportedProgram:
    """The rewritten network as an exported program, with the sizes that were dynamic still dynamic."""
    captured, signature = compiled.captured, g.signature(compiled.graph)
    tensors: Any = iter(captured.example)
    flat = [next(tensors) if slot is not None else None for slot in signature.input_slots]
    args, kwargs = pytree.tree_unflatten(flat, signature.in_spec)
    if not any(s.is_dynamic for s in captured.input_specs):
        return torch.export.export(compiled.module, args, kwargs, strict=False)
    specs = iter(captured.input_specs)
    sizes = [open_sizes(next(specs)) if slot is not None else None for slot in signature.input_slots]
    dynamic = pytree.tree_unflatten(sizes, signature.in_spec)
    shapes = (dynamic[0], dynamic[1]) if kwargs else dynamic[0]
    return torch.export.export(compiled.module, args, kwargs, dynamic_shapes=shapes, strict=False)
