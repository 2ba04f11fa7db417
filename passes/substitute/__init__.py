"""Rules that write an operator in terms of others, one file each; they never know what target they are for."""

import difflib

from nascc.passes.substitute.adaptive_pool import ADAPTIVE_POOL
from nascc.passes.substitute.attention import ATTENTION
from nascc.passes.substitute.bitwise_not import BITWISE_NOT
from nascc.passes.substitute.col2im import COL2IM
from nascc.passes.substitute.einsum import EINSUM
from nascc.passes.substitute.gelu import GELU
from nascc.passes.substitute.group_norm import GROUP_NORM
from nascc.passes.substitute.hard_swish import HARD_SWISH
from nascc.passes.substitute.instance_norm import INSTANCE_NORM
from nascc.passes.substitute.is_inf import IS_INF
from nascc.passes.substitute.layer_norm import LAYER_NORM
from nascc.passes.substitute.logical_xor import LOGICAL_XOR
from nascc.passes.substitute.mish import MISH
from nascc.passes.substitute.modulo import MODULO
from nascc.passes.substitute.one_hot import ONE_HOT
from nascc.passes.substitute.reciprocal import RECIPROCAL
from nascc.passes.substitute.resize import ANTIALIASED_RESIZE, CUBIC_RESIZE
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shrink import SHRINK
from nascc.passes.substitute.silu import SILU
from nascc.passes.substitute.triangle import TRIANGLE

RULES: dict[str, Rule] = {
    "adaptive_pool": ADAPTIVE_POOL,
    "antialiased_resize": ANTIALIASED_RESIZE,
    "attention": ATTENTION,
    "bitwise_not": BITWISE_NOT,
    "col2im": COL2IM,
    "cubic_resize": CUBIC_RESIZE,
    "einsum": EINSUM,
    "gelu": GELU,
    "group_norm": GROUP_NORM,
    "hard_swish": HARD_SWISH,
    "instance_norm": INSTANCE_NORM,
    "is_inf": IS_INF,
    "layer_norm": LAYER_NORM,
    "logical_xor": LOGICAL_XOR,
    "mish": MISH,
    "modulo": MODULO,
    "one_hot": ONE_HOT,
    "reciprocal": RECIPROCAL,
    "shrink": SHRINK,
    "silu": SILU,
    "triangle": TRIANGLE,
}
"""Every substitution rule, under the name that `SubstituteOperators(rules=...)` takes."""


def near_matches(name: str) -> str:
    """What a user who wrote `name` may have meant."""
    near = difflib.get_close_matches(name, RULES, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(RULES)}"


__all__ = ["RULES", "Rule", "near_matches"]
