"""What is done on a device, whatever runs networks there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nascc.runtime.errors import DeviceFailed
from nascc.runtime.measure import ROUNDS, Timings
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.profile import Target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.address import Address
from nascc.runtime.remote.facts import Facts, read_facts
from nascc.runtime.remote.link import Link
from nascc.runtime.remote.onnx import RemoteOnnxRunner, busy_remote, measure_remote
from nascc.runtime.remote.tensorrt import TensorRtBoard
from nascc.runtime.runners.base import Runner
from nascc.runtime.trtexec.command import Precision


class Board(Protocol):
    """A device with an open link."""

    link: Link
    facts: Facts

    @property
    def words(self) -> str:
        """What runs networks, and where: 'TensorRT 8.2.1 on jetson'."""

    def measure(
        self,
        paths: Sequence[Path],
        shapes: Shapes | None = None,
        *,
        rounds: int | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> Timings:
        """Measure files together, around the anchor. Raises UnstableMachine and what running them raises."""

    def runner(self, path: Path, shapes: Shapes | None = None) -> Runner:
        """What runs a file on given inputs."""

    def forget(self) -> None:
        """Remove from the device what belongs to files that were measured so far; the anchor stays."""

    def busy(self, path: Path, shapes: Shapes, seconds: int) -> tuple[float, float]:
        """Run a file over and over; returns when that began and ended, by the clock of the device."""


class OnnxBoard:
    """A device with Python and onnxruntime."""

    def __init__(self, link: Link, facts: Facts, access: Access) -> None:
        self.link, self.facts, self._python = link, facts, access.python

    @property
    def words(self) -> str:
        return f"onnxruntime {self.facts.onnxruntime} on {self.link.address.host}"

    def measure(
        self,
        paths: Sequence[Path],
        shapes: Shapes | None = None,
        *,
        rounds: int | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> Timings:
        return measure_remote(
            self.link, paths, shapes, rounds=rounds or ROUNDS, threads=threads, seed=seed, python=self._python
        )

    def runner(self, path: Path, shapes: Shapes | None = None) -> Runner:
        return RemoteOnnxRunner(self.link, path, python=self._python)

    def forget(self) -> None:
        pass  # the next file takes the place of the last

    def busy(self, path: Path, shapes: Shapes, seconds: int) -> tuple[float, float]:
        return busy_remote(self.link, path, shapes, seconds, python=self._python)


@contextmanager
def open_board(
    access: Access,
    target: Target,
    address: Address | None = None,
    *,
    precision: Precision = "fp16",
    pinned: Sequence[str] = (),
    workspace_mib: int | None = None,
) -> Iterator[Board]:
    """The device at an address (the first one for None) as what the target says runs there, with its link open.

    Raises BadAddress, DeviceUnreachable, DeviceBusy, DeviceFailed for what it lacks, WrongDevice.
    """
    with access.link(address) as link:
        facts = read_facts(link, trtexec=access.trtexec, python=access.python)
        if target.software.runtime == "tensorrt":
            yield TensorRtBoard(link, facts, target, precision=precision, pinned=pinned, workspace_mib=workspace_mib)
            return
        if lacks := facts.missing("onnxruntime"):
            raise DeviceFailed(f"{link.address} must be able to run networks, but {'; '.join(lacks)}")
        yield OnnxBoard(link, facts, access)
