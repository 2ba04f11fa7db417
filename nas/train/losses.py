"""What training minimises: cross-entropy, and what a teacher adds."""

from torch import Tensor
from torch.nn import functional as F

from nascc.nas.errors import SearchError
from nascc.nas.train.recipe import Distillation, Recipe


def training_loss(logits: Tensor, labels: Tensor, recipe: Recipe, taught: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits [N, K] with labels [N], smoothed, plus the distillation from `taught` [N, K]."""
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    return loss if taught is None else loss + distillation_loss(logits, taught, recipe.distillation)


def distillation_loss(logits: Tensor, taught: Tensor, distillation: Distillation) -> Tensor:
    """weight * temperature**2 * KL(softmax(taught / temperature), softmax(logits / temperature)), mean over images.

    Raises SearchError when teacher and student tell other numbers of classes.
    """
    if logits.shape != taught.shape:
        raise SearchError(
            f"the teacher must give one number a class, [N, {logits.shape[-1]}], got {list(taught.shape)} "
            f"for {len(logits)} images; use a teacher of the same classes"
        )
    temperature = distillation.temperature
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(taught / temperature, dim=1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return distillation.weight * temperature**2 * divergence
