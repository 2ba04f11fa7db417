"""Fill in the sizes that an ONNX model leaves open, so that it can be measured or estimated."""

from collections.abc import Mapping

from onnx import ModelProto, ValueInfoProto

from nascc.runtime.errors import DifferentInputs, OpenSizes

Shapes = Mapping[str, tuple[int, ...]]


def with_sizes(model: ModelProto, shapes: Shapes) -> ModelProto:
    """A copy whose inputs have the sizes of `shapes`, `{input: sizes}`, where they were open.

    Raises OpenSizes when some stay open, DifferentInputs when a shape fits no input.
    """
    sized = ModelProto()
    sized.CopyFrom(model)
    constants = {tensor.name for tensor in sized.graph.initializer}
    inputs = [value for value in sized.graph.input if value.name not in constants]
    known = [value.name for value in inputs]
    problems = [f"'{name}' is no input, inputs are {known}" for name in shapes if name not in known]
    problems += [problem for value in inputs if value.name in shapes and (problem := _fill(value, shapes[value.name]))]
    if problems:
        raise DifferentInputs(f"--shapes must fit the model, but {'; '.join(problems)}")
    if still_open := [f"'{value.name}' is {shown(value)}" for value in inputs if None in sizes(value)]:
        example = ",".join("1" if size is None else str(size) for size in sizes(inputs[0]))
        raise OpenSizes(
            f"every size of an input must be a number here, but {', '.join(still_open)}; "
            f"give --shapes {inputs[0].name}:{example.replace(',', 'x')} with the sizes that it runs with"
        )
    return sized


def sizes(value: ValueInfoProto) -> list[int | None]:
    """The sizes of a value, None where they are open."""
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]


def shown(value: ValueInfoProto) -> str:
    """The shape of a value for a person, open sizes by their names."""
    dims = value.type.tensor_type.shape.dim
    return f"[{', '.join(str(d.dim_value) if d.HasField('dim_value') else d.dim_param or '?' for d in dims)}]"


def _fill(value: ValueInfoProto, shape: tuple[int, ...]) -> str | None:
    """Fill in the open sizes; what is wrong with the shape, None where it fits."""
    own = sizes(value)
    if len(own) != len(shape) or any(o not in (None, s) for o, s in zip(own, shape, strict=True)):
        return f"'{value.name}' is {shown(value)}, got {list(shape)}"
    for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    return None
