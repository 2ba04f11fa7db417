"""Where an operator stands in a network: what comes in and what must go out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ctx:
    """`shape` is (C_in, H, W) of what comes in, without the batch; `out_shape` goes out.

    `activation` names the non-linearity of the network (`relu6`, `relu`, `hard_swish`).
    """

    shape: tuple[int, int, int]
    c_out: int
    stride: int = 1
    activation: str = "relu6"

    @property
    def c_in(self) -> int:
        return self.shape[0]

    @property
    def keeps_shape(self) -> bool:
        """Whether an identity would be legal here."""
        return self.stride == 1 and self.c_in == self.c_out

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(C_out, H, W) of what goes out, for operators padded as usual."""
        return self.c_out, -(-self.shape[1] // self.stride), -(-self.shape[2] // self.stride)
