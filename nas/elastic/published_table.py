"""The form of a table that says what is left of each layer of a network, and reading it."""

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nascc.nas.data_files import checked
from nascc.nas.errors import SearchError

TABLE8 = "netadaptv2_table8.json"
Count = Annotated[int, Field(ge=0, le=65_536)]
Filters = Literal["exp", "dw", "pw"]
FILTERS: dict[str, tuple[Filters, ...]] = {
    "conv": ("exp",),
    "pw": ("exp", "pw"),
    "dw": ("exp", "dw"),
    "fc": ("exp",),
    "mnv3": ("exp", "dw", "pw"),
}
"""Under which names rows say how many filters are left."""
ALIKE = 0.75
"""How near a key must come to a known one to count as misspelt."""
OWNERS = {"se": ("mnv3",), "residual": ("mnv3",), "row": ("add",)}
"""Which rows other keys are for."""


class PublishedRow(BaseModel):
    """A row of a table, for what is left of one layer, or of one block; rows are counted from 1.

    - `conv`: a dense convolution of `exp` filters; `kernel` (none given: 1), `stride` (1), `bn` says whether it has a
      batch norm, `act` is HS (hard swish), RE (ReLU), RE6 (ReLU up to 6) or null.
    - `pw`: the same, 1x1; its filters may also be called `pw`.
    - `dw`: a depthwise convolution, `exp` or `dw` filters.
    - `mnv3`: an inverted residual: `exp` filters expand (null: the block has no such layer, 0: it has lost all of
      them), `dw` are depthwise, `se` squeeze (null or 0: none), `pw` project. `residual` says whether the input is
      added; null: where the stride is 1.
    - `gap`: global average pooling. `up`: nearest upsampling by two. `add`: the output of row `row` is added.
    - `fc`: a linear layer of `exp` filters, of all numbers it reads.

    `T` is how many channels may bypass the layer in place of filters that are gone, 0 for none, null for as many as
    there are: Z = max(min(C, T), M). In `mnv3` it is the T of `pw`, and of `exp` where the stride is 1; with another
    stride `exp` reads the resolution of the rows before, and has their T; `dw` has none. The last layer, which makes
    the output, is never bypassed. Other keys are for people, unless they look like one of these.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["conv", "pw", "dw", "mnv3", "gap", "up", "add", "fc"]
    T: Count | None = None
    kernel: Count | None = None
    stride: Annotated[int, Field(ge=1, le=64)] | None = None
    bn: Annotated[int, Field(ge=0, le=1)] | None = None
    act: Literal["HS", "RE", "RE6"] | None = None
    exp: Count | None = None
    dw: Count | None = None
    pw: Count | None = None
    se: Count | None = None
    residual: bool | None = None
    row: Annotated[int, Field(ge=1)] | None = None

    @property
    def filters(self) -> int:
        """M of a row that is one layer; of an inverted residual, that of the last."""
        found = [value for name in reversed(FILTERS.get(self.type, ())) if (value := getattr(self, name)) is not None]
        return found[0] if found else 0

    @property
    def step(self) -> int:
        return self.stride or 1

    @property
    def adds(self) -> bool:
        """Is the input of an inverted residual added to what it gives?"""
        return self.step == 1 if self.residual is None else self.residual

    @model_validator(mode="before")
    @classmethod
    def _is_spelt(cls, values: Any) -> Any:
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields and (near := difflib.get_close_matches(key, cls.model_fields, 1, ALIKE)):
                raise ValueError(f"'{key}' must be '{near[0]}', or another word where it is for people")
        return values

    @model_validator(mode="after")
    def _has_filters(self) -> "PublishedRow":
        names = FILTERS.get(self.type, ())
        for name in ("exp", "dw", "pw", *OWNERS):
            if getattr(self, name) and self.type not in OWNERS.get(name, ()) and name not in names:
                raise ValueError(f"'{name}' says nothing about a row of type {self.type}; leave it out")
        if self.type == "mnv3" and (self.dw is None or self.pw is None):
            raise ValueError("'dw' and 'pw' must say how many filters an inverted residual keeps")
        given = [name for name in names if getattr(self, name) is not None]
        if self.type != "mnv3" and names and len(given) != 1:
            raise ValueError(f"{' or '.join(map(repr, names))} must say how many filters are left")
        if self.type == "fc" and self.exp == 0:
            raise ValueError("'exp' of a linear layer must be at least 1")
        if self.type == "add" and self.row is None:
            raise ValueError("'row' must say which row is added, counted from 1")
        return self

    @model_validator(mode="after")
    def _has_a_kernel(self) -> "PublishedRow":
        if self.type in ("gap", "up", "add", "fc"):
            return self
        if self.type == "pw" and self.kernel not in (None, 1):
            raise ValueError(f"'kernel' of a pointwise convolution must be 1, got {self.kernel}")
        is_gone = not (self.dw if self.type == "mnv3" else self.filters)
        default = None if self.type in ("dw", "mnv3") else 1
        kernel = default if self.kernel is None else self.kernel
        if not is_gone and (kernel is None or kernel % 2 == 0):
            raise ValueError(f"'kernel' must be odd, got {kernel}")
        if self.residual and self.step != 1:
            raise ValueError(f"an input can be added where 'stride' is 1, got {self.step}")
        return self


class Published(BaseModel):
    """A table as in `netadaptv2_table8.json`: rows in the order in which they are computed.

    Other keys are for people.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    layers: tuple[PublishedRow, ...]

    @model_validator(mode="after")
    def _has_rows(self) -> "Published":
        if not self.layers:
            raise ValueError("'layers' must hold a row, found none")
        return self


def read_published(path: Path) -> Published:
    """Raises SearchError where the file is no such table."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SearchError(f"'{path}' must be a JSON table of layers, but: {error}") from error
    found: Published = checked(data, Published, f"the table '{path}'", "a table of layers")
    return found


def table8() -> Published:
    """The network that NetAdaptV2 found for 51 ms on a Pixel 1 (Table 8)."""
    return Published.model_validate_json((resources.files("nascc.nas.elastic") / TABLE8).read_text("utf-8"))
