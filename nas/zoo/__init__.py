"""Reference networks with seeded weights, and the table of all architectures by name."""

from nascc.nas.zoo.registry import ARCHITECTURES, Architecture

__all__ = ["ARCHITECTURES", "Architecture"]
