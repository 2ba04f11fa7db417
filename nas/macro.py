"""Macro-architectures: the widths, depths and strides that a search space keeps fixed, read from data files."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nascc.nas.data_files import data_names, load_data

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
    return data_names(FOLDER)


def load_macro(name_or_path: str | Path) -> Macro:
    """The macro of a name, or of a user's `.toml` file. Raises SearchError, which lists every violation."""
    return load_data(name_or_path, Macro, FOLDER)
