"""Choosing one operator a layer under budgets: an integer program, many different solutions, repair, random draws."""

from nascc.nas.program.diverse import Found, diverse
from nascc.nas.program.generate import generate
from nascc.nas.program.instance import Budgeted, Program
from nascc.nas.program.repair import repaired
from nascc.nas.program.sample import uniform_under
from nascc.nas.program.solve import Solver, solve

__all__ = ["Budgeted", "Found", "Program", "Solver", "diverse", "generate", "repaired", "solve", "uniform_under"]
