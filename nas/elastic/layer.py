"""What is known of a layer that may lose filters: a convolution or linear layer, its batch norm and its activation."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["dense", "depthwise", "linear"]


@dataclass(frozen=True)
class Layer:
    """Nodes by name: `source` is what it reads, `call` the weighted call, `norm` its batch norm, `end` what it gives.

    `filters` of `inputs` channels; `kernels` are the sizes it may have, its own first (empty for linear layers);
    `threshold` is T of its bypass, None without a limit, 0 where nothing can stand in for a filter. `place` is (H, W)
    of the input. A `fixed` layer keeps all its filters, for the reason it tells; `gate` says that it only scales
    channels (squeeze-and-excitation).
    """

    name: str
    kind: Kind
    source: str
    call: str
    norm: str | None
    end: str
    filters: int
    inputs: int
    kernels: tuple[int, ...]
    threshold: int | None
    stride: tuple[int, ...]
    place: tuple[int, ...]
    fixed: str = ""
    gate: bool = False

    @property
    def depthwise(self) -> bool:
        return self.kind == "depthwise"

    @property
    def least(self) -> int:
        """The fewest filters: with nothing to stand in for them, one has to stay."""
        return 1 if self.threshold == 0 else 0
