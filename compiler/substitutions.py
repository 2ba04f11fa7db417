"""Which operators have to be replaced in the graph before it can be written for an opset or a target."""

from collections.abc import Iterable, Iterator

from nascc.compiler.lowering import needs_substitution
from nascc.passes.substitute import RULES

RULE_FOR = {
    "BitwiseNot": "bitwise_not",
    "Col2Im": "col2im",
    "Einsum": "einsum",
    "Gelu": "gelu",
    "HardSwish": "hard_swish",
    "InstanceNormalization": "instance_norm",
    "IsInf": "is_inf",
    "LayerNormalization": "layer_norm",
    "Mish": "mish",
    "Mod": "modulo",
    "OneHot": "one_hot",
    "Reciprocal": "reciprocal",
    "Shrink": "shrink",
    "Trilu": "triangle",
    "Xor": "logical_xor",
}
"""The rule that avoids an ONNX operator, for those operators that some target lacks."""

NO_RULE = {
    "BitwiseAnd": "the bits of integers have no other form",
    "BitwiseOr": "the bits of integers have no other form",
    "BitwiseXor": "the bits of integers have no other form",
    "Det": "a determinant is no fixed number of products",
    "GridSample": "it reads pixels at places known only at run time; resize by fixed sizes instead",
}
"""Why no rule avoids an ONNX operator that the lowering may write and some target lacks."""

FIRST_CUBIC = 10
"""The first TensorRT whose Resize is cubic. None antialiases: 8.6 leaves it out in silence, 10 refuses it."""


def rules_for(opset: int, lacks: Iterable[str] = (), tensorrt: str | None = None) -> tuple[str, ...]:
    """Names for `SubstituteOperators(rules=...)`, sorted: what the opset has no operator for, and what a target lacks.

    `lacks` names ONNX operators; those without a rule are left to the lowering and to the check of the written file.
    `tensorrt` is the version that reads the file, which may know an operator but not all that it can do.
    """
    missing = needs_substitution(opset)
    needed = {name for name, rule in RULES.items() if not missing.isdisjoint(rule.targets)}
    return tuple(sorted({*needed, *(RULE_FOR[kind] for kind in lacks if kind in RULE_FOR), *_resizes(tensorrt)}))


def _resizes(tensorrt: str | None) -> Iterator[str]:
    """The kinds of Resize that a TensorRT lacks."""
    if tensorrt is None:
        return
    yield "antialiased_resize"
    if int(tensorrt.split(".")[0]) < FIRST_CUBIC:
        yield "cubic_resize"


def advice(kind: str) -> str:
    """What can be done where a target lacks an ONNX operator."""
    if kind in RULE_FOR:
        return f"the substitution '{RULE_FOR[kind]}' avoids it"
    return f"no substitution avoids it: {NO_RULE[kind]}" if kind in NO_RULE else "no substitution avoids it"
