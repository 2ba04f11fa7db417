"""What the options of reference networks may be."""

from typing import Annotated

from pydantic import Field

Classes = Annotated[int, Field(ge=1, le=100_000)]
Channels = Annotated[int, Field(ge=1, le=64)]
Width = Annotated[float, Field(gt=0, le=8)]
Seed = Annotated[int, Field(ge=0)]
