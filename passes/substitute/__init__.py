"""Rules that write an operator in terms of others, one file each; they never know what target they are for."""

import difflib

from nascc.passes.substitute.einsum import EINSUM
from nascc.passes.substitute.gelu import GELU
from nascc.passes.substitute.hard_swish import HARD_SWISH
from nascc.passes.substitute.layer_norm import LAYER_NORM
from nascc.passes.substitute.logical_xor import LOGICAL_XOR
from nascc.passes.substitute.mish import MISH
from nascc.passes.substitute.one_hot import ONE_HOT
from nascc.passes.substitute.resize import ANTIALIASED_RESIZE, CUBIC_RESIZE
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shrink import SHRINK

RULES: dict[str, Rule] = {
    "antialiased_resize": ANTIALIASED_RESIZE,
    "cubic_resize": CUBIC_RESIZE,
    "einsum": EINSUM,
    "gelu": GELU,
    "hard_swish": HARD_SWISH,
    "layer_norm": LAYER_NORM,
    "logical_xor": LOGICAL_XOR,
    "mish": MISH,
    "one_hot": ONE_HOT,
    "shrink": SHRINK,
}
"""Every substitution rule, under the name that `SubstituteOperators(rules=...)` takes."""


def near_matches(name: str) -> str:
    """What a user who wrote `name` may have meant."""
    near = difflib.get_close_matches(name, RULES, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(RULES)}"


__all__ = ["RULES", "Rule", "near_matches"]
