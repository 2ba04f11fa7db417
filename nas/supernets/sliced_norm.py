"""A batch norm that also normalises fewer channels than it has."""

from torch import Tensor, nn
from torch.nn import functional as F


class SlicedBatchNorm(nn.BatchNorm2d):
    """Normalises [N, c, H, W] with the first c of its channels; statistics of the others stay as they are.

    A `gate`, a scalar, multiplies scale and shift.
    """

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        channels, mean, var = x.shape[1], self.running_mean, self.running_var
        assert mean is not None and var is not None and self.num_batches_tracked is not None
        factor = self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
            factor = 1 / float(self.num_batches_tracked) if factor is None else factor
        weight, bias = self.weight[:channels], self.bias[:channels]
        if gate is not None:
            weight, bias = weight * gate, bias * gate
        return F.batch_norm(x, mean[:channels], var[:channels], weight, bias, self.training, factor or 0.0, self.eps)

    def first(self, channels: int) -> dict[str, Tensor]:
        """The state of a plain batch norm of the first channels."""
        return {name: value[:channels] if value.ndim else value for name, value in self.state_dict().items()}
