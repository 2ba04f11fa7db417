"""From a trained network to what is deployed."""

from nascc.nas.emit.bundle import write_bundle
from nascc.nas.emit.usage import Usage, usage_of

__all__ = ["Usage", "usage_of", "write_bundle"]
