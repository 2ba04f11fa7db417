"""Random whole numbers that are the same on every machine and with every release of NumPy."""

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core.randomness import Label, derive

Integers = NDArray[np.int32]


class RawRandom:
    """Whole numbers from the raw stream of PCG64, the only one whose bits NumPy promises to keep."""

    def __init__(self, seed: int, *labels: Label) -> None:
        self._bits = np.random.PCG64(derive(seed, *labels))

    def below(self, bounds: int, *shape: int) -> Integers:
        """Whole numbers from 0 to `bounds` - 1 (at most 2**31), of `shape`; biased by less than bounds / 2**32."""
        raw = self._bits.random_raw(int(np.prod(shape))).reshape(shape)
        return ((raw >> np.uint64(32)) * np.uint64(bounds) >> np.uint64(32)).astype(np.int32)

    def noise(self, *shape: int) -> Integers:
        """Sums of four random bytes less their mean: nearly normal, standard deviation 147.8, within +-510."""
        raw = self._bits.random_raw(-(-int(np.prod(shape)) // 2)).astype("<u8")
        four = raw.view("u1").reshape(-1, 4)[: int(np.prod(shape))]
        sums: Integers = four.sum(axis=1, dtype=np.int32).reshape(shape) - 510
        return sums

    def order(self, count: int) -> NDArray[np.int64]:
        """A permutation of `count` numbers."""
        return np.argsort(self._bits.random_raw(count), kind="stable")
