"""The model a command was given: a file and what is needed to open it."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.tools.errors import CommandError

if TYPE_CHECKING:
    from nascc.compiler.report import InputFile
    from nascc.tools.open_model import Opened

ZOO = "zoo:"


@dataclass(frozen=True)
class Source:
    """A path or `zoo:NAME`, with the options `--model`, `--kwargs`, `--state-key` and `--allow-pickle`."""

    file: str | None
    model: str | None = None
    kwargs: str | None = None
    state_key: str | None = None
    allow_pickle: bool = False

    @property
    def stem(self) -> str:
        """What an output is named after: the file, the network of the zoo, or the callable that builds the model."""
        return Path(self.file.removeprefix(ZOO)).stem if self.file else (self.model or "model").rpartition(":")[2]

    @property
    def path(self) -> Path | None:
        """The file, None for what comes from no file."""
        return None if self.file is None or self.file.startswith(ZOO) else Path(self.file)

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

    def entries(self, opened: "Opened") -> "tuple[InputFile, ...]":
        """The report's entry of the file; there is none for what comes from no file."""
        from nascc.compiler.report import InputFile

        if self.path is None or opened.sha256 is None:
            return ()
        return (InputFile(path=str(self.path), sha256=opened.sha256, format=opened.format),)

    @property
    def words(self) -> str:
        """The same model on a command line."""
        options = {"--model": self.model, "--kwargs": self.kwargs, "--state-key": self.state_key}
        given = [word for name, value in options.items() if value is not None for word in (name, value)]
        return shlex.join([*([self.file] if self.file else []), *given, *["--allow-pickle"] * self.allow_pickle])


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
