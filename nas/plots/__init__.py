"""Plots of a run as plain SVG files; each is a function of plain series."""

from nascc.nas.plots.architecture import plot_architecture
from nascc.nas.plots.candidates import plot_proxy, plot_speedups
from nascc.nas.plots.curves import plot_budget, plot_curves
from nascc.nas.plots.deviation import plot_deviation
from nascc.nas.plots.draw import draw_report
from nascc.nas.plots.operations import plot_operations
from nascc.nas.plots.predictor import plot_predictor
from nascc.nas.plots.probabilities import plot_probabilities

__all__ = [
    "draw_report",
    "plot_architecture",
    "plot_budget",
    "plot_curves",
    "plot_deviation",
    "plot_operations",
    "plot_predictor",
    "plot_probabilities",
    "plot_proxy",
    "plot_speedups",
]
