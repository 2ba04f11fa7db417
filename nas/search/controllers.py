"""What steers a search to its limits: how multipliers follow the errors cost / limit - 1, one of each per limit."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gains:
    """Multipliers as they stand: `integral` and last `errors`, one of each per limit; `parked` once one was reached."""

    integral: tuple[float, ...]
    errors: tuple[float, ...]
    parked: bool = False

    @classmethod
    def start(cls, limits: int, initial: float = 0.0) -> "Gains":
        return cls((initial,) * limits, (0.0,) * limits)

    def state_dict(self) -> dict[str, Any]:
        return {"integral": list(self.integral), "errors": list(self.errors), "parked": self.parked}

    @classmethod
    def load(cls, state: dict[str, Any]) -> "Gains":
        return cls(tuple(state["integral"]), tuple(state["errors"]), bool(state["parked"]))


class Controller(ABC):
    """A rule without state; what changes is in `Gains`."""

    normalised: bool = False
    """Whether task loss and costs count in units of what an average slot can change of them, and errors in shares
    of what all slots can: no scale matters then. Else they count as published: loss, cost / limit."""
    aim: float = 1.0
    """Which share of a limit to steer to."""

    def start(self, limits: int) -> Gains:
        return Gains.start(limits)

    @abstractmethod
    def multipliers(self, gains: Gains) -> tuple[float, ...]:
        """The weight of each cost in the loss of this step."""

    @abstractmethod
    def observe(self, gains: Gains, errors: Sequence[float], step_size: float) -> Gains:
        """After a step of the logits at learning rate `step_size`; errors are those of the most likely architecture."""

    def rate(self, gains: Gains, progress: float) -> float:
        """A factor for the learning rate of the logits at a share `progress` of the steps."""
        return 1.0


@dataclass(frozen=True)
class Damped(Controller):
    """Integral and proportional: lambda = integral + kp * error; the integral grows by eta * step size * error.

    With one limit lambda may become negative: then the search is driven to use the budget. With several, only the one
    that is nearest to being broken may do so; the others act once they are.
    """

    kp: float = 3.0
    eta: float = 2.0
    aim: float = 0.99
    normalised = True

    def multipliers(self, gains: Gains) -> tuple[float, ...]:
        raw = [i + self.kp * e for i, e in zip(gains.integral, gains.errors, strict=True)]
        return _only_leader_below_zero(raw, gains.errors)

    def observe(self, gains: Gains, errors: Sequence[float], step_size: float) -> Gains:
        raw = [i + self.eta * step_size * e for i, e in zip(gains.integral, errors, strict=True)]
        return Gains(_only_leader_below_zero(raw, errors), tuple(errors))


@dataclass(frozen=True)
class Published(Controller):
    """LightNAS as printed (Eq. 11): lambda += eta * error, an equality, approached from both sides.

    The released code adds two things. `truncate`: lambda of the wrong sign becomes 0, which throws the integral away
    and leaves an offset. `park`: over the last ninth, once an error was below `near`, the learning rate is multiplied
    with it.
    """

    eta: float = 5e-4
    truncate: bool = False
    park: bool = False
    near: float = 0.0075

    def multipliers(self, gains: Gains) -> tuple[float, ...]:
        return gains.integral

    def observe(self, gains: Gains, errors: Sequence[float], step_size: float) -> Gains:
        moved = [i + self.eta * e for i, e in zip(gains.integral, errors, strict=True)]
        if self.truncate:
            moved = [0.0 if i * e < 0 else i for i, e in zip(moved, errors, strict=True)]
        parked = gains.parked or any(abs(e) < self.near for e in errors)
        return Gains(tuple(moved), tuple(errors), parked)

    def rate(self, gains: Gains, progress: float) -> float:
        if not (self.park and gains.parked and progress >= 8 / 9 and gains.errors):
            return 1.0
        return min(1.0, max(abs(error) for error in gains.errors))


@dataclass(frozen=True)
class Fixed(Controller):
    """A constant weight for every cost, as other methods have it: which cost comes out is found by trial."""

    value: float = 0.0

    def start(self, limits: int) -> Gains:
        return Gains.start(limits, self.value)

    def multipliers(self, gains: Gains) -> tuple[float, ...]:
        return gains.integral

    def observe(self, gains: Gains, errors: Sequence[float], step_size: float) -> Gains:
        return Gains(gains.integral, tuple(errors))


def _only_leader_below_zero(multipliers: Sequence[float], errors: Sequence[float]) -> tuple[float, ...]:
    leader = max(range(len(errors)), key=lambda i: errors[i], default=0)
    return tuple(m if i == leader else max(0.0, m) for i, m in enumerate(multipliers))
