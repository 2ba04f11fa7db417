"""Which operators have to be replaced in the graph before it can be written for an opset or a target."""

from collections.abc import Iterable

from nascc.compiler.lowering import needs_substitution
from nascc.passes.substitute import RULES

RULE_FOR = {
    "Einsum": "einsum",
    "Gelu": "gelu",
    "HardSwish": "hard_swish",
    "LayerNormalization": "layer_norm",
    "Mish": "mish",
    "OneHot": "one_hot",
    "Shrink": "shrink",
    "Xor": "logical_xor",
}
"""The rule that avoids an ONNX operator, for those operators that some target lacks."""


def rules_for(opset: int, lacks: Iterable[str] = ()) -> tuple[str, ...]:
    """Names for `SubstituteOperators(rules=...)`, sorted: what the opset has no operator for, and what a target lacks.

    `lacks` names ONNX operators; those without a rule are left to the lowering and to the check of the written file.
    """
    missing = needs_substitution(opset)
    needed = {name for name, rule in RULES.items() if not missing.isdisjoint(rule.targets)}
    return tuple(sorted(needed | {RULE_FOR[kind] for kind in lacks if kind in RULE_FOR}))
