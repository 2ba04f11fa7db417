"""What is known of each channel of each value of a graph (zero, constant, a copy, live), and which channels matter."""

from nascc.passes.channels.analysis import Analysis, Origin, analyse
from nascc.passes.channels.crop import Crop, zero_shells
from nascc.passes.channels.demand import Demand, demand
from nascc.passes.channels.facts import Facts

__all__ = ["Analysis", "Crop", "Demand", "Facts", "Origin", "analyse", "demand", "zero_shells"]
