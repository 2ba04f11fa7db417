"""The model a command was given: a file and what is needed to open it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.tools.errors import CommandError

if TYPE_CHECKING:
    from nascc.tools.open_model import Opened

ZOO = "zoo:"


@dataclass(frozen=True)
class Source:
    """A path or `zoo:NAME`, with the options `--model`, `--kwargs`, `--state-key` and `--allow-pickle`."""

    file: str
    model: str | None = None
    kwargs: str | None = None
    state_key: str | None = None
    allow_pickle: bool = False

    @property
    def stem(self) -> str:
        """The name without folder and suffix."""
        return Path(self.file.removeprefix(ZOO)).stem

    @property
    def path(self) -> Path | None:
        """The file, None for a network of the zoo."""
        return None if self.file.startswith(ZOO) else Path(self.file)

    def open(self) -> "Opened":
        """Open the model; see `nascc.tools.open_model` for what it raises."""
        from nascc.tools.open_model import open_model

        return open_model(
            self.file,
            model=self.model,
            kwargs=self.kwargs,
            state_key=self.state_key,
            allow_pickle=self.allow_pickle,
        )


def words(text: str | None) -> tuple[str, ...] | None:
    """The parts of a list with commas, None when it was not given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """The numbers of a list with commas; raise CommandError where one is none."""
    parts = words(text)
    try:
        return None if parts is None else tuple(float(part) for part in parts)
    except ValueError as error:
        raise CommandError(f"{option} must be numbers with commas between, got '{text}'") from error
