"""Groups of options that several commands take, for `nascc.tools.grouped`."""

from dataclasses import dataclass

from nascc.tools.options import (
    AllowPickle,
    Json,
    Kwargs,
    Mean,
    Model,
    NoProgress,
    Reporting,
    ReportPath,
    Shapes,
    StateKey,
    Std,
    Verbose,
)
from nascc.tools.source import Source, numbers


@dataclass(frozen=True)
class Inputs:
    """What the network is fed."""

    shapes: Shapes = None
    mean: Mean = None
    std: Std = None

    def statistics(self) -> dict[str, tuple[float, ...] | None]:
        """Mean and deviation as numbers. Raises CommandError."""
        return {"mean": numbers(self.mean, "--mean"), "std": numbers(self.std, "--std")}


@dataclass(frozen=True)
class Opening:
    """How a file that holds weights only, or code, is opened."""

    model: Model = None
    kwargs: Kwargs = None
    state_key: StateKey = None
    allow_pickle: AllowPickle = False

    def source(self, file: str | None) -> Source:
        """The model of a file, opened that way."""
        return Source(file, self.model, self.kwargs, self.state_key, self.allow_pickle)


@dataclass(frozen=True)
class Telling:
    """How a command tells what it did."""

    as_json: Json = False
    report: ReportPath = None
    verbose: Verbose = False

    @property
    def reporting(self) -> Reporting:
        return Reporting(self.as_json, self.report, self.verbose)


@dataclass(frozen=True)
class Showing:
    """How a command that takes its time tells what it does and did."""

    as_json: Json = False
    report: ReportPath = None
    no_progress: NoProgress = False
    verbose: Verbose = False

    @property
    def reporting(self) -> Reporting:
        return Reporting(self.as_json, self.report, self.verbose, progress=not self.no_progress)
