"""Work that falls into independent jobs, spread over processes of one thread each."""

import multiprocessing as mp
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import torch

from nascc.nas.errors import SearchError
from nascc.nas.run.threads import threads

Tell = Callable[[str, int, int, dict[str, Any]], bool]
"""Takes a job's name, how many of its steps are done, of how many, and what is shown; True asks it to save and stop."""
POLL_S = 0.2


@dataclass(frozen=True)
class Job:
    """A call that another process can make: `work(*arguments, tell)`; it must follow what `tell` returns."""

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Failed:
    error: BaseException
    text: str


def run_jobs(jobs: Sequence[Job], workers: int, tell: Tell) -> list[Any]:
    """The results of the jobs, in their order: the same bits whatever the number of workers.

    Raises what a job raises; the others are asked to stop then. Workers die with this process.
    """
    if workers <= 1 or len(jobs) <= 1:
        with threads(1):
            return [job.work(*job.arguments, tell) for job in jobs]
    return _Pool(jobs, min(workers, len(jobs))).results(tell)


class _Pool:
    """Processes that take the next job each until none is left."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        context = mp.get_context("spawn")
        self.jobs, self.stop, self.messages = jobs, context.Event(), context.Queue()
        self.next = context.Value("i", 0)  # held here: what is not referenced is gone before a worker opens it
        shared = (tuple(jobs), self.next, self.stop, self.messages)
        self.processes = [context.Process(target=_serve, args=shared, daemon=True) for _ in range(workers)]

    def results(self, tell: Tell) -> list[Any]:
        """Every job's result. Raises what the first job to fail raised."""
        found: dict[int, Any] = {}
        try:
            for process in self.processes:
                process.start()
            while len(found) < len(self.jobs) and any(p.is_alive() for p in self.processes):
                self._read(found, tell)
            self._read(found, tell)
        except BaseException:
            self.stop.set()
            raise
        finally:
            self._end()
        return self._checked(found)

    def _read(self, found: dict[int, Any], tell: Tell) -> None:
        try:
            while True:
                index, message = self.messages.get(timeout=POLL_S)
                if index is None:
                    if tell(*message):
                        self.stop.set()
                else:
                    found[index] = message
                    if isinstance(message, _Failed):
                        self.stop.set()
        except queue.Empty:
            return

    def _end(self) -> None:
        """Wait for the workers; what they still say is read, or they would wait for a reader."""
        while alive := [p for p in self.processes if p.pid is not None and p.is_alive()]:
            wait([p.sentinel for p in alive], POLL_S)
            while not self.messages.empty():
                self.messages.get()

    def _checked(self, found: dict[int, Any]) -> list[Any]:
        for index in sorted(found):
            if isinstance(failed := found[index], _Failed):
                raise failed.error
        if lost := [job.name for index, job in enumerate(self.jobs) if index not in found]:
            raise SearchError(f"every job must end, but the process of '{lost[0]}' was killed; go on with --resume")
        return [found[index] for index in range(len(self.jobs))]


def _serve(jobs: tuple[Job, ...], counter: Any, stop: Any, messages: Any) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def tell(*message: Any) -> bool:
        messages.put((None, message))
        return bool(stop.is_set())

    while not stop.is_set():
        with counter.get_lock():
            index, counter.value = counter.value, counter.value + 1
        if index >= len(jobs):
            return
        try:
            result = jobs[index].work(*jobs[index].arguments, tell)
        except BaseException as error:
            result = _Failed(error, traceback.format_exc())
        messages.put((index, result))


def _die_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
