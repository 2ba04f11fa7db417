"""The phases of a configuration, and how they are run."""

from pathlib import Path

from nascc.nas.core import Method
from nascc.nas.methods.method import SearchMethod
from nascc.nas.phases.adopted import Adopted, adopted, searched
from nascc.nas.phases.board import MeasureDeployed
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.emit import Emit
from nascc.nas.phases.retrain import Retrain
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.run.threads import threads


def phases_of(method: SearchMethod, config: RunConfig) -> Method:
    """All phases of a search; with a source, those that train what was found there."""
    if config.source is None:
        return method.phases(config)
    if method.kept:
        source = Path(config.source)
        return tuple(Adopted(p.name, source) if p.name in method.kept else p for p in method.phases(config))
    measured = () if config.device is None else (MeasureDeployed(),)
    return (*adopted(config), Retrain(), Emit(), *measured)


def adopted_names(method: SearchMethod, config: RunConfig) -> tuple[str, ...]:
    """The phases that a run must have finished before its networks can be trained again."""
    return method.kept or searched(config)


def run_method(method: SearchMethod, run: RunDirectory, *, until: str | None = None) -> None:
    """Run what is not finished, on as many threads as the configuration says. Raises what `run_phases` raises."""
    config = run.config_as(RunConfig)
    with threads(config.threads):
        run_phases(phases_of(method, config), run, until=until)
