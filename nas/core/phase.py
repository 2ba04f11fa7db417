"""Methods are sequences of phases; a phase reads artefacts of a run directory and writes artefacts."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nascc.nas.run.directory import RunDirectory


class Phase(Protocol):
    """One step of a method, such as profile, pretrain, search, retrain, emit."""

    @property
    def name(self) -> str:
        """A word that names its folder and its lines in the journal."""

    def run(self, run: "RunDirectory") -> None:
        """Do the phase; where a kill interrupted it, go on from the last state saved."""


Method = tuple[Phase, ...]
