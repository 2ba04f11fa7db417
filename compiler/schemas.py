"""ONNX's operator schemas as plain data, and a node held against one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import onnx
from onnx import AttributeProto, NodeProto, TensorProto
from onnx.defs import OpSchema

Types = dict[str, str]
"""Number type of each value known so far, as schemas write it: `tensor(float)`."""

BY_ATTRIBUTE = {"Cast": "to", "EyeLike": "dtype"}


@dataclass(frozen=True)
class Slot:
    """A formal input or output: the types it takes, directly or through the variable `variable`."""

    name: str
    variable: str
    types: frozenset[str]
    optional: bool
    variadic: bool
    homogeneous: bool


@dataclass(frozen=True)
class Schema:
    """What one version of an operator allows."""

    name: str
    since: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    input_counts: tuple[int, int]
    output_counts: tuple[int, int]
    attributes: dict[str, int]
    required: frozenset[str]


@cache
def find_schema(kind: str, opset: int) -> Schema | None:
    """The schema of an operator of the default domain at an operator set; None where it is missing or deprecated."""
    try:
        found = onnx.defs.get_schema(kind, opset, "")
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else _as_data(found)


def _as_data(schema: OpSchema) -> Schema:
    return Schema(
        name=schema.name,
        since=schema.since_version,
        inputs=tuple(_slot(p) for p in schema.inputs),
        outputs=tuple(_slot(p) for p in schema.outputs),
        input_counts=(schema.min_input, schema.max_input),
        output_counts=(schema.min_output, schema.max_output),
        attributes={name: int(a.type.value) for name, a in schema.attributes.items()},  # type: ignore[attr-defined]
        required=frozenset(name for name, a in schema.attributes.items() if a.required),
    )


def _slot(parameter: OpSchema.FormalParameter) -> Slot:
    options = OpSchema.FormalParameterOption
    return Slot(
        name=parameter.name,
        variable=parameter.type_str,
        types=frozenset(parameter.types),
        optional=parameter.option == options.Optional,
        variadic=parameter.option == options.Variadic,
        homogeneous=parameter.is_homogeneous,
    )


def type_name(data_type: int) -> str:
    """A TensorProto data type as schemas write it."""
    return f"tensor({TensorProto.DataType.Name(data_type).lower()})"


def check_call(node: NodeProto, schema: Schema, types: Types) -> Iterator[str]:
    """What is wrong with a node; the types of its outputs are added to `types` where they follow."""
    yield from _check_counts("inputs", node.input, schema.input_counts)
    yield from _check_counts("outputs", node.output, schema.output_counts)
    yield from _check_attributes(node, schema)
    bound: dict[str, str] = {}
    yield from _check_types(node, schema, types, bound)
    for slot, name in _pairs(schema.outputs, node.output):
        if known := _result_type(node, slot, bound):
            types[name] = known


def _check_counts(what: str, names: Sequence[str], allowed: tuple[int, int]) -> Iterator[str]:
    low, high = allowed
    if not low <= len(names) <= high:
        yield f"must have {low if low == high else f'{low} to {high}'} {what}, found {len(names)}"


def _check_attributes(node: NodeProto, schema: Schema) -> Iterator[str]:
    for attribute in node.attribute:
        expected = schema.attributes.get(attribute.name)
        if expected is None:
            yield f"has no attribute '{attribute.name}' in version {schema.since}"
        elif expected != attribute.type:
            kinds = [AttributeProto.AttributeType.Name(kind) for kind in (expected, attribute.type)]
            yield f"attribute '{attribute.name}' must be {kinds[0]}, found {kinds[1]}"
    for missing in schema.required - {attribute.name for attribute in node.attribute}:
        yield f"must have the attribute '{missing}'"


def _check_types(node: NodeProto, schema: Schema, types: Types, bound: dict[str, str]) -> Iterator[str]:
    """Every input of a type its slot takes, and inputs of one type variable of one type."""
    for slot, name in _pairs(schema.inputs, node.input):
        if not name:
            if not slot.optional and not slot.variadic:
                yield f"must have the input '{slot.name}'"
            continue
        found = types.get(name)
        if found is None:
            continue
        if found not in slot.types:
            yield f"input '{slot.name}' must not be {found} in version {schema.since}"
        elif slot.homogeneous and bound.setdefault(slot.variable, found) != found:
            yield f"input '{slot.name}' must be {bound[slot.variable]} like the others, found {found}"


def _pairs(slots: Sequence[Slot], names: Sequence[str]) -> Iterator[tuple[Slot, str]]:
    """Each actual value with its slot; a variadic slot takes all that are left."""
    for i, name in enumerate(names):
        slot = slots[min(i, len(slots) - 1)] if slots else None
        if slot is not None and (i < len(slots) or slot.variadic):
            yield slot, name


def _result_type(node: NodeProto, slot: Slot, bound: dict[str, str]) -> str | None:
    named = BY_ATTRIBUTE.get(node.op_type)
    for attribute in node.attribute:
        if attribute.name == named:
            return type_name(attribute.i)
        if node.op_type == "ConstantOfShape" and attribute.name == "value":
            return type_name(attribute.t.data_type)
    if slot.variable in bound:
        return bound[slot.variable]
    return next(iter(slot.types)) if len(slot.types) == 1 else None
