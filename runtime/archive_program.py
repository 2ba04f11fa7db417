"""Check the JSON of an exported program: every text in it that torch evaluates, imports or writes into code."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from nascc.runtime.archive_expr import expression_fault, guard_fault, is_plain_text

Fault = Callable[[Any], str | None]
# Operators that read or write files, or have no place in a network.
FORBIDDEN_OPERATORS = {
    "from_file",
    "save",
    "_print",
    "format",
    "percentFormat",
    "warn",
    "_RecordFunction",
    "get_autocast_dtype",
}
ATEN = re.compile(r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.(\w+)\.([A-Za-z]\w*)", re.ASCII)
BITWISE = re.compile(r"__i?(and|or|xor|lshift|rshift)__")
HIGHER_ORDER = re.compile(
    r"torch\.ops\.higher_order\.(associative_scan|cond|map|map_impl|scan|tag_activation_checkpoint|while_loop"
    r"|wrap_with_autocast|wrap_with_set_grad_enabled)"
)
ON_SIZES = re.compile(
    r"_operator\.(abs|add|and_|eq|floordiv|ge|getitem|gt|le|lshift|lt|mod|mul|ne|neg|not_|or_|pos|pow|rshift|sub|truediv|xor)"
    r"|math\.(ceil|floor|pow|sqrt|trunc)|torch\.(_?sym_(float|int|ite|max|min|not|sqrt|sum)|sym_fresh_size)"
)
FACTORIES = {"bool", "dict", "float", "int", "list", "set", "str", "tuple"}
CONTAINERS = {
    "builtins.dict", "builtins.list", "builtins.tuple", "collections.OrderedDict", "collections.deque",
    "collections.namedtuple", "torch.Size", "torch.fx.immutable_collections.immutable_dict",
    "torch.fx.immutable_collections.immutable_list",
}  # fmt: skip
KEPT_METADATA = ("nn_module_stack", "stack_trace", "torch_fn")  # all of it is text that stays text
NAMED = ("tensor_values", "sym_int_values", "sym_float_values", "sym_bool_values")


def program_faults(program: Any) -> Iterator[str]:
    """Everything in the JSON of an exported program (torch's schema 8) that must not reach torch."""
    if isinstance(program, list):
        for item in program:
            yield from program_faults(item)
    if not isinstance(program, dict):
        return
    yield from _constant_input_faults(program)
    for key, value in program.items():
        if key in RULES and (fault := RULES[key](value)):
            yield fault
        if key in NAMED or key == "as_string_to_argument":
            names = [] if key == "as_string_to_argument" else list(value)
            yield from filter(None, map(_identifier_fault, names))
            yield from program_faults(list(value.values()))
        elif key != "metadata":
            yield from program_faults(value)


def cleaned(program: Any, devices: set[str]) -> Any:
    """The same JSON with plain metadata only and every device the CPU; the devices it named go into `devices`."""
    if isinstance(program, list):
        return [cleaned(item, devices) for item in program]
    if not isinstance(program, dict):
        return program
    if set(program) == {"type", "index"} and isinstance(program["type"], str):
        devices.add(program["type"])
        return {"type": "cpu", "index": None}
    return {
        key: {name: value[name] for name in KEPT_METADATA if name in value}
        if key == "metadata" and isinstance(value, dict)
        else cleaned(value, devices)
        for key, value in program.items()
    }


def _constant_input_faults(program: dict[str, Any]) -> Iterator[str]:
    """A constant input of kind text is written into the guards as it is."""
    constants = [program["value"]] if {"name", "value"} == set(program) else []
    inputs = program.get("inputs") if "nodes" in program else constants
    for item in inputs if isinstance(inputs, list) else ():
        if isinstance(item, dict) and "as_string" in item and not is_plain_text(item["as_string"]):
            yield f"the constant input {item['as_string']!r:.60} is no plain text"


def _identifier_fault(name: object) -> str | None:
    return None if isinstance(name, str) and name.isidentifier() else f"the name {name!r:.60} is no identifier"


def _name_fault(name: object) -> str | None:
    """Names are absent, empty, identifiers; a dict here is a value that happens to be called 'name'."""
    return None if name is None or name == "" or isinstance(name, dict) else _identifier_fault(name)


def _path_fault(name: object) -> str | None:
    """Dotted names of parameters and modules; parts like `__class__` would reach into Python itself."""
    plain = is_plain_text(name) and not any(part.startswith("__") for part in str(name).split("."))
    return None if name is None or plain else f"the name {name!r:.60} is no plain text"


def operator_fault(target: object) -> str | None:
    """What keeps `target` from being an operator of a network."""
    if isinstance(target, str):
        found = ATEN.fullmatch(target)
        if found and found[2] not in FORBIDDEN_OPERATORS and ("__" not in found[2] or BITWISE.fullmatch(found[2])):
            return None
        if HIGHER_ORDER.fullmatch(target) or ON_SIZES.fullmatch(target):
            return None
    return f"{target!r:.60} is no operator of a network"


def _tree_fault(text: object) -> str | None:
    """The structure of inputs or outputs: containers, and keys that are safe to write into code."""
    try:
        version, tree = json.loads(text) if isinstance(text, str) else (None, None)
        return (
            None if version == 1 and _is_plain_tree(tree) else f"the structure {text!r:.80} is not of plain containers"
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"the structure {text!r:.80} can not be read"


def _input_tree_fault(text: object) -> str | None:
    """As `_tree_fault`; the keys of the keyword arguments must be identifiers as well."""
    if fault := _tree_fault(text):
        return fault
    tree = json.loads(str(text))[1]
    children = tree["children_spec"]
    if len(children) == 2 and children[1]["type"] == "builtins.dict":
        return next(filter(None, map(_identifier_fault, json.loads(children[1]["context"]))), None)
    return None


def _is_plain_tree(tree: Any) -> bool:
    kind, context, children = tree["type"], tree["context"], tree["children_spec"]
    if kind is None:
        return context is None and children == []
    if kind == "collections.defaultdict":
        plain = context["default_factory_module"] == "builtins" and context["default_factory_name"] in FACTORIES
        plain = plain and _is_plain_key(context["dict_context"])
    elif kind == "collections.namedtuple":
        plain = is_plain_text(context)
    else:
        plain = kind in CONTAINERS and _is_plain_key(json.loads(context))
    return plain and all(_is_plain_tree(child) for child in children)


def _is_plain_key(context: object) -> bool:
    if isinstance(context, list):
        return all(_is_plain_key(item) for item in context)
    return context is None or isinstance(context, (int, float)) or is_plain_text(context)


def _number_fault(value: object) -> str | None:
    if isinstance(value, dict):
        value = next(iter(value.values()), None)
    return None if value is None or isinstance(value, (int, float)) else f"{value!r:.60} is no number"


def _each(fault: Fault) -> Fault:
    """The same rule for every item of a list."""

    def of_list(items: Any) -> str | None:
        return next(filter(None, map(fault, items or ())), None)

    return of_list


def _ranges_fault(ranges: Any) -> str | None:
    return _each(expression_fault)(list(ranges))


def _custom_fault(value: object) -> str | None:
    return f"the custom object {value!r:.60} can only be unpickled" if value else None


RULES: dict[str, Fault] = {
    "expr_str": expression_fault,
    "guards_code": _each(guard_fault),
    "range_constraints": _ranges_fault,
    "hint": _number_fault,
    "min_val": _number_fault,
    "max_val": _number_fault,
    "target": operator_fault,
    "as_operator": operator_fault,
    "name": _name_fault,
    "as_name": _identifier_fault,
    "forward_arg_names": _each(_identifier_fault),
    **dict.fromkeys(("parameter_name", "buffer_name", "tensor_constant_name", "user_input_name", "fqn"), _path_fault),
    "in_spec": _input_tree_fault,
    "out_spec": _tree_fault,
    **dict.fromkeys(("as_custom_obj", "custom_obj", "custom_obj_values"), _custom_fault),
}
