"""Which task a run learns, as it stands in the run's configuration."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nascc.nas.tasks.augmentation import Augmentation
from nascc.nas.tasks.preprocessing import Channels, Side

DIGITS = "cluttered_digits"
TORCHVISION = "torchvision:"
DEPTH_SCENES, DEPTH_FOLDER = "depth_scenes", "depth_folder:"
Kind = Literal["classification", "depth"]

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=10, le=1_000_000)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shares(_Data):
    """Shares of the images that go to each split, of every class; `test` counts where no folder is held out for it."""

    weights: Share = 0.4
    alpha: Share = 0.4
    valid: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Shares":
        if abs((total := sum(self.model_dump().values())) - 1) > 1e-6 or min(self.model_dump().values()) <= 0:
            raise ValueError(f"shares must be above 0 and add up to 1, got {total:g}")
        return self


class Sizes(_Data):
    """Images generated for each split of cluttered digits; depth scenes are fewer unless told."""

    weights: Count = 4000
    alpha: Count = 4000
    valid: Count = 500
    test: Count = 3000


class TaskConfig(_Data):
    """`data` is `cluttered_digits`, a folder of images, or `torchvision:NAME@folder`; for depths a pixel, of kind
    `depth`, it is `depth_scenes` or `depth_folder:PATH`.

    `classes` is `all`, `random:N`, names divided by commas, or the list of them. What is None follows from the images
    and is filled in by `open_task`: `resolution` (H, W) in pixels, `channels`, `crop` (the share of the resized image
    that an evaluation sees), `mean` and `std`, `augmentation`, and `fingerprint`, by which changed data are noticed.
    """

    data: str = DIGITS
    classes: str | tuple[str, ...] = "all"
    resolution: tuple[Side, Side] | None = None
    channels: Channels | None = None
    crop: Annotated[float, Field(gt=0.1, le=1)] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    augmentation: Augmentation | None = None
    shares: Shares = Shares()
    sizes: Sizes = Sizes()
    seed: int = 0
    fingerprint: str | None = None

    @property
    def kind(self) -> Kind:
        """What a network gives: a logit a class, or a depth a pixel."""
        return "depth" if self.data == DEPTH_SCENES or self.data.startswith(DEPTH_FOLDER) else "classification"

    @field_validator("resolution", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        return (value, value) if isinstance(value, int) else value
