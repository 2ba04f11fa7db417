"""Random numbers as a pure function of a seed and of what they are for: no generator state is ever saved."""

import hashlib
import random

import torch

Label = str | int


def derive(seed: int, *labels: Label) -> int:
    """A 63-bit seed for `labels`: equal ones give equal seeds, different ones independent seeds."""
    text = "\x1f".join(f"{type(label).__name__}:{label}" for label in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *labels: Label) -> torch.Generator:
    """A torch generator on the CPU for `labels`, e.g. `generator(seed, "search", step)`."""
    return torch.Generator().manual_seed(derive(seed, *labels))


def rng(seed: int, *labels: Label) -> random.Random:
    """Python's random numbers for `labels`."""
    return random.Random(derive(seed, *labels))


def seed_everything(seed: int, *labels: Label) -> None:
    """Seed torch's global generator, which dropout draws from, for `labels`."""
    torch.manual_seed(derive(seed, *labels))
