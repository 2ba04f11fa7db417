"""Runs: directories that can be killed and resumed, loops over steps, journals, and what is shown of them."""

from nascc.nas.run.directory import RunDirectory
from nascc.nas.run.driver import run_phases
from nascc.nas.run.estimate import hours_per_phase
from nascc.nas.run.progress import Progress, Silent
from nascc.nas.run.state import State
from nascc.nas.run.steps import Steps

__all__ = ["Progress", "RunDirectory", "Silent", "State", "Steps", "hours_per_phase", "run_phases"]
