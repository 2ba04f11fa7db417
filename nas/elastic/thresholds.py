"""T of every layer: how many channels a bypass may carry, one number for each resolution that layers read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from nascc.nas.elastic.layer import Layer

Place = tuple[int, ...]


@dataclass(frozen=True)
class Thresholds:
    """T is `share` of the filters with which a resolution is entered, so the lower that is the more.

    Those are the filters of the first dense layer that reads it, or of the next one if that does too and has fewer: an
    expansion is followed by its projection. This gives the published numbers: a half in MobileNetV3 and a quarter in
    FastDepth (NetAdaptV2, Sec. 4). Depthwise layers have no limit. `at` sets T by resolution ('14x14'), `of` by layer.
    Without `bypass` nothing stands in for filters that are gone, depthwise ones among them.
    """

    share: float = 0.5
    bypass: bool = True
    at: Mapping[str, int] = field(default_factory=dict)
    of: Mapping[str, int] = field(default_factory=dict)

    def given(self, layers: Sequence[Layer]) -> dict[str, int | None]:
        """T of every layer, by name; None without a limit."""
        dense = [layer for layer in layers if not layer.depthwise and not layer.gate]
        share, entered = Fraction(self.share).limit_denominator(1000), dict[Place, int]()
        for layer, after in zip(dense, [*dense[1:], *dense[-1:]], strict=True):
            pair = [layer.filters, after.filters] if after.place == layer.place else [layer.filters]
            entered.setdefault(layer.place, max(1, int(min(pair) * share)))
        return {layer.name: self._of(layer, entered) for layer in layers}

    def _of(self, layer: Layer, entered: Mapping[Place, int]) -> int | None:
        if not self.bypass:
            return 0
        if layer.name in self.of:
            return self.of[layer.name]
        if layer.depthwise:
            return None
        return self.at.get("x".join(map(str, layer.place)), entered.get(layer.place, 0))
