"""The contracts that all search methods share: spaces, selections, supernets, costs, phases."""

from nascc.nas.core.context import Ctx
from nascc.nas.core.cost import LEAST_SHARE, Cost, Limit
from nascc.nas.core.phase import Method, Phase
from nascc.nas.core.selection import Sel, check_selection, legal_columns, one_hot
from nascc.nas.core.slot import Op, Slot
from nascc.nas.core.space import Arch, Form, Space
from nascc.nas.core.supernet import SuperNet

__all__ = [
    "LEAST_SHARE",
    "Arch",
    "Cost",
    "Ctx",
    "Form",
    "Limit",
    "Method",
    "Op",
    "Phase",
    "Sel",
    "Slot",
    "Space",
    "SuperNet",
    "check_selection",
    "legal_columns",
    "one_hot",
]
