"""From a user's model to a graph in nascc's IR, and the original as a reference to compare with."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from nascc.compiler.errors import CaptureFailed, UsageError
from nascc.compiler.examples import example_of, examples_of
from nascc.compiler.explain import explained
from nascc.compiler.macs import count_macs
from nascc.compiler.preprocess import Normalisation, normalise_input
from nascc.compiler.shapes import InputSpec
from nascc.passes import CanNotRead, Signature, demote, from_exported
from nascc.passes import graph as g


@dataclass(frozen=True, eq=False)
class Captured:
    """A model as a graph. `gm` computes in float64; `module_call` is the original, in its own dtypes.

    `example` holds the flat inputs the model was captured with; `module_call(*example)` gives its flat outputs.
    """

    gm: fx.GraphModule
    example: tuple[Tensor, ...]
    module_call: Callable[..., tuple[Tensor, ...]]
    input_specs: tuple[InputSpec, ...]
    name: str
    ops: int
    params: int
    macs: int
    warnings: tuple[str, ...] = ()


def capture(
    model: nn.Module | ExportedProgram,
    inputs: Any = None,
    *,
    shapes: Sequence[InputSpec] | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
) -> Captured:
    """Capture `model` in inference mode, on `inputs` (a tensor, or a tuple of arguments) or on inputs of `shapes`.

    Sizes of `shapes` that are letters stay open. `mean` and `std`, one number a channel, become part of the graph.
    The user's module comes back as it was. Raises UsageError for shapes or names that do not fit, CaptureFailed
    for models that torch.export can not capture.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program, original = _program(model, inputs, tuple(shapes or ()), seed)
        gm = _graph(program)
    renamed(gm, input_names, output_names)
    signature = g.signature(gm)
    specs = named_specs(gm, tuple(shapes or ()))
    example = tuple(
        x for x, slot in zip(_flat_example(program), signature.input_slots, strict=True) if slot is not None
    )
    call = _flat_call(original, signature, program)
    if mean is not None or std is not None:
        wanted = next((s.dtype for s in shapes or () if not s.dtype.is_floating_point), None)
        normalisation = Normalisation.of(specs, mean, std, wanted)
        specs, example, call = normalise_input(gm, normalisation, specs, example, call)
    calls = sum(n.op == "call_function" for n in gm.graph.nodes)
    messages = tuple(dict.fromkeys(str(w.message).split(". Such")[0] for w in caught if w.category is UserWarning))
    name = type(model).__name__ if isinstance(model, nn.Module) else "model"
    return Captured(gm, example, call, specs, name, calls, g.parameter_count(gm), count_macs(gm), messages)


def captured_graph(gm: fx.GraphModule, seed: int = 0) -> Captured:
    """A graph in nascc's IR, made by passes and of static shapes, as if it had been captured."""
    specs, call = named_specs(gm, ()), demote(gm)
    example = tuple(example_of(spec, seed=seed, position=k) for k, spec in enumerate(specs))
    calls = sum(n.op == "call_function" for n in gm.graph.nodes)

    def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(v for v in pytree.tree_leaves(call(*tensors)) if isinstance(v, Tensor))

    return Captured(gm, example, flat, specs, "model", calls, g.parameter_count(gm), count_macs(gm))


def exported(model: nn.Module, shapes: Sequence[InputSpec], seed: int = 0) -> ExportedProgram:
    """A module exported in inference mode for inputs of `shapes`. Raises CaptureFailed, UsageError."""
    program, _ = _program(model, None, tuple(shapes), seed)
    return program


def _program(
    model: nn.Module | ExportedProgram, inputs: Any, shapes: tuple[InputSpec, ...], seed: int
) -> tuple[ExportedProgram, Callable[..., Any]]:
    """The model as an exported program, and the original as something to call."""
    if isinstance(model, ExportedProgram):
        return _fitted(model, shapes), model.module()
    if not isinstance(model, nn.Module):
        raise UsageError(f"a model must be a torch.nn.Module or an ExportedProgram, found {type(model).__name__}")
    if inputs is None and not shapes:
        raise UsageError("the shape of the input must be known; pass --shapes x:1x3x224x224")
    args, kwargs, dynamic = examples_of(model, inputs, shapes, seed)
    with evaluating(model):
        return _export(model, args, kwargs, dynamic), _in_eval(model)


def _export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic: Any) -> ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(model, args, kwargs, dynamic_shapes=dynamic, strict=False)
    except Exception as error:
        raise explained(error, model, args, kwargs, dynamic is not None) from error


def _graph(program: ExportedProgram) -> fx.GraphModule:
    try:
        return from_exported(program)
    except CanNotRead:
        raise
    except Exception as error:
        raise CaptureFailed(
            f"the exported program must be readable, but {type(error).__name__}: {str(error).splitlines()[0][:300]}"
        ) from error


def _fitted(program: ExportedProgram, shapes: tuple[InputSpec, ...]) -> ExportedProgram:
    """The program itself when it has the shapes asked for; specialised, when it is dynamic and they are not."""
    if not shapes:
        return program
    nodes = [n for n in program.graph.find_nodes(op="placeholder") if n.name in program.graph_signature.user_inputs]
    here = tuple(_spec(n) for n in nodes)
    wanted = tuple(shapes)
    if [s.dims for s in here] == [s.dims for s in wanted] and [s.dtype for s in here] == [s.dtype for s in wanted]:
        return program
    fits = len(here) == len(wanted) and all(_covers(a, b) for a, b in zip(here, wanted, strict=True))
    if not fits:
        raise UsageError(
            f"the archive holds {', '.join(map(str, here))}, but --shapes asks for {', '.join(map(str, wanted))}; "
            f"export the model again with {_recipe(wanted)}"
        )
    if all(s.is_dynamic == w.is_dynamic for s, w in zip(here, wanted, strict=True)):
        return program
    arguments = tuple(example_of(s, seed=0, position=k) for k, s in enumerate(wanted))
    args, kwargs = pytree.tree_unflatten(arguments, program.call_spec.in_spec)
    return _export(program.module(), args, kwargs, None)


def _covers(here: InputSpec, wanted: InputSpec) -> bool:
    return here.dtype == wanted.dtype and len(here.dims) == len(wanted.dims) and all(
        isinstance(a, str) or a == b for a, b in zip(here.dims, wanted.dims, strict=True)
    )  # fmt: skip


def _recipe(wanted: tuple[InputSpec, ...]) -> str:
    """The lines of Python that export a model with the shapes asked for."""
    tensors = ", ".join(
        f"torch.zeros({', '.join(str(d) if isinstance(d, int) else '2' for d in s.dims)})" for s in wanted
    )
    open_sizes = [{i: d for i, d in enumerate(s.dims) if isinstance(d, str)} for s in wanted]
    if not any(open_sizes):
        return f"`torch.export.save(torch.export.export(model, ({tensors},)), 'model.pt2')`"
    dynamic = ", ".join(
        "{" + ", ".join(f'{i}: torch.export.Dim("{d}")' for i, d in o.items()) + "}" for o in open_sizes
    )
    return f"`torch.export.save(torch.export.export(model, ({tensors},), dynamic_shapes=({dynamic},)), 'model.pt2')`"


def named_specs(gm: fx.GraphModule, wanted: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """The inputs of a graph; open sizes under the user's letters, else N for the batch, then H and W, then D1, D2 ...

    The letters stand in `gm.meta["size_names"]`, by symbol, for whoever writes the graph down.
    """
    names: dict[str, str] = {}
    placeholders = gm.graph.find_nodes(op="placeholder")
    for node, spec in zip(placeholders, wanted, strict=False):
        for size, letter in zip(g.shape(node), spec.dims, strict=False):
            if isinstance(size, torch.SymInt) and isinstance(letter, str):
                names.setdefault(str(size), letter)
    for node in placeholders:
        for k, size in enumerate(g.shape(node)):
            if isinstance(size, torch.SymInt) and str(size) not in names:
                names[str(size)] = _free_letter(k, len(g.shape(node)), set(names.values()))
    gm.meta["size_names"] = names
    return tuple(_spec(node, names) for node in placeholders)


def _free_letter(k: int, rank: int, taken: set[str]) -> str:
    usual = {0: "N", rank - 2: "H", rank - 1: "W"}.get(k, "") if rank == 4 else {0: "N"}.get(k, "")
    return next(n for n in (usual, *(f"D{i}" for i in range(1, 100))) if n and n not in taken)


def _spec(node: fx.Node, names: dict[str, str] | None = None) -> InputSpec:
    val = node.meta["val"]
    dims = tuple(d if isinstance(d, int) else (names or {}).get(str(d), str(d)) for d in val.shape)
    return InputSpec(str(node.target), dims, g.dtype(node) or val.dtype)


def _flat_example(program: ExportedProgram) -> list[Any]:
    args, kwargs = program.example_inputs or ((), {})
    return pytree.tree_leaves((args, kwargs))


def _flat_call(original: Callable[..., Any], signature: Signature, program: ExportedProgram) -> Callable[..., Any]:
    """The original on flat tensors, giving flat tensors."""
    fixed = _flat_example(program)

    def call(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = iter(tensors)
        flat = [next(given) if slot is not None else fixed[k] for k, slot in enumerate(signature.input_slots)]
        args, kwargs = pytree.tree_unflatten(flat, signature.in_spec)
        with torch.no_grad():
            out = pytree.tree_leaves(original(*args, **kwargs))
        return tuple(v for v in out if isinstance(v, Tensor))

    return call


def _in_eval(model: nn.Module) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with evaluating(model):
            return model(*args, **kwargs)

    return call


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode for a while; every module gets its own mode back."""
    training = [m for m in model.modules() if m.training]
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True


def renamed(gm: fx.GraphModule, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> None:
    """Give inputs and outputs the names the user wants. Raises UsageError when their number is wrong."""
    signature = g.signature(gm)
    new_in = _checked("input", inputs, signature.input_names)
    new_out = _checked("output", outputs, signature.output_names)
    if taken := set(new_in) & set(new_out):
        raise UsageError(f"inputs and outputs must have different names, but '{taken.pop()}' is used for both")
    renamed = dict(zip(signature.input_names, new_in, strict=True))
    for node in gm.graph.find_nodes(op="placeholder"):
        node.target = renamed[str(node.target)]
    slots = tuple(None if s is None else renamed[s] for s in signature.input_slots)
    gm.meta["signature"] = replace(signature, input_names=new_in, output_names=new_out, input_slots=slots)
    gm.recompile()


def _checked(what: str, wanted: Sequence[str] | None, found: tuple[str, ...]) -> tuple[str, ...]:
    if wanted is None:
        return found
    if len(wanted) != len(found) or len(set(wanted)) != len(wanted):
        raise UsageError(f"the model has {len(found)} {what}(s) ({', '.join(found)}), found names {', '.join(wanted)}")
    return tuple(wanted)
