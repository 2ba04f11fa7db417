"""Make timm and torchvision importable beside a torch for which torchvision's compiled operators do not load."""

import sys
import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def declare_operators() -> torch.library.Library:
    """Declare the operators that torchvision's Python code expects to exist; they live as long as the library does."""
    library = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        library.define(schema)
    return library


@cache
def import_vision() -> tuple[ModuleType, ModuleType]:
    """Import (timm, torchvision); raise ImportError where one of them is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import_module("torchvision")
        except RuntimeError:  # "operator torchvision::nms does not exist"
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            declare_operators()
        return import_module("timm"), import_module("torchvision")
