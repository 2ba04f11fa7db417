"""The architectures within the limits that a search has met."""

from collections.abc import Callable, Iterable
from typing import Any

from nascc.nas.core.space import Arch

CAPACITY = 512


class Pool:
    """Distinct architectures in the order they were first met; when full, the less preferred half goes."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._archs: dict[Arch, None] = {}

    def add(self, arch: Arch, preferred: Callable[[Arch], float]) -> None:
        """Keep an architecture; `preferred` is asked only when one must go."""
        self._archs[arch] = None
        if len(self._archs) > self._capacity:
            self._archs = dict.fromkeys(self.best(self._capacity // 2, preferred))

    def best(self, number: int, preferred: Callable[[Arch], float]) -> list[Arch]:
        """The `number` most preferred ones, best first."""
        return sorted(self._archs, key=lambda arch: (-preferred(arch), arch))[:number]

    def __len__(self) -> int:
        return len(self._archs)

    def __contains__(self, arch: Arch) -> bool:
        return arch in self._archs

    def state_dict(self) -> dict[str, Any]:
        return {"archs": [list(arch) for arch in self._archs]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        archs: Iterable[list[int]] = state["archs"]
        self._archs = dict.fromkeys(tuple(arch) for arch in archs)
