"""Search spaces over macro-architectures."""

from nascc.nas.spaces.macro_space import MacroSpace, Part

__all__ = ["MacroSpace", "Part"]
