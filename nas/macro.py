"""Macro-architectures: the widths, depths and strides that a search space keeps fixed, read from data files."""

import difflib
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nascc.nas.errors import SearchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Positive = Annotated[int, Field(ge=1)]
Activation = Literal["relu6", "relu", "hard_swish"]
FOLDER = "nascc.nas.macros"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stem(_Data):
    """The first convolution: 3x3 and stride 2 unless said otherwise."""

    channels: Positive
    kernel: Positive = 3
    stride: Positive = 2


class Stage(_Data):
    """Blocks of one width; the first of them has the stride. `operator` stands there if it is not searched."""

    channels: Positive
    blocks: Positive
    stride: Positive = 1
    operator: str | None = None


class Head(_Data):
    """1x1 convolution, global pooling, fully connected layers of `hidden` sizes, dropout, classifier."""

    channels: Positive
    hidden: tuple[Positive, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Macro(_Data):
    """What a space keeps fixed.

    `input` is (C, H, W); `skip` says where a skip is legal: `project` everywhere (a 1x1 convolution where shapes
    differ), `identity` only where shapes agree. `operators` are the choices of a searched block, in the order of
    their indices. Scaled widths are multiples of `divisor`.
    """

    name: str
    source: str = ""
    input: tuple[Positive, Positive, Positive]
    activation: Activation = "relu6"
    skip: Literal["project", "identity"] = "project"
    operators: Annotated[tuple[str, ...], Field(min_length=1)]
    divisor: Positive = 8
    stem: Stem
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    head: Head

    def scaled(self, width: float = 1.0, resolution: float = 1.0) -> "Macro":
        """Every width, and the sides of the input, multiplied; widths stay multiples of the divisor."""
        channels, height, side = self.input
        stages = tuple(s.model_copy(update={"channels": self.multiple(s.channels * width)}) for s in self.stages)
        stem = self.stem.model_copy(update={"channels": self.multiple(self.stem.channels * width)})
        head = self.head.model_copy(update={"channels": self.multiple(self.head.channels * width)})
        size = (channels, max(1, round(height * resolution)), max(1, round(side * resolution)))
        return self.model_copy(update={"stages": stages, "stem": stem, "head": head, "input": size})

    def multiple(self, channels: float) -> int:
        """The nearest multiple of the divisor, at least one of them."""
        return max(self.divisor, int(channels / self.divisor + 0.5) * self.divisor)


def macro_names() -> tuple[str, ...]:
    """The macros that come with nascc, sorted."""
    files = resources.files(FOLDER).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_macro(name_or_path: str | Path) -> Macro:
    """The macro of a name, or of a user's `.toml` file.

    Raises SearchError with the near matches when there is none, with every violation when it is malformed.
    """
    name = str(name_or_path)
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SearchError(f"macro '{name}' must be a readable UTF-8 file, but: {error}") from error
    elif name in macro_names():
        text = (resources.files(FOLDER) / f"{name}.toml").read_text("utf-8")
    else:
        near = difflib.get_close_matches(name, macro_names()) or macro_names()
        raise SearchError(f"macro must be a path to a .toml file or one of {', '.join(near)}, got '{name}'")
    return _parsed(text, name)


def _parsed(text: str, origin: str) -> Macro:
    try:
        return Macro.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SearchError(f"macro '{origin}' must be TOML, but: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'macro'}: {e['msg'].lower()}" for e in error.errors())
        raise SearchError(f"macro '{origin}' must follow the schema of a macro, but: {faults}") from error
