"""Supernets of macro spaces."""

from nascc.nas.supernets.choice_supernet import ChoiceSuperNet
from nascc.nas.supernets.recalibration import recalibrate

__all__ = ["ChoiceSuperNet", "recalibrate"]
