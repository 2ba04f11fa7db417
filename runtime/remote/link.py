"""A connection to a device: the lock, a folder of its own there, and programs and files in it."""

import contextlib
import hashlib
import os
import selectors
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import NoReturn

from typing_extensions import Self

from nascc.runtime.digest import sha256
from nascc.runtime.errors import DeviceBusy, DeviceFailed, DeviceUnreachable
from nascc.runtime.remote import scripts
from nascc.runtime.remote.address import Address
from nascc.runtime.remote.ssh import CONNECT_S, Ssh, failure_of

LINK_LOST = 255
LOCK_WAIT_S, SHORT_S, BEAT_S = 60, 60.0, 5.0
SLOWEST_BYTES_PER_S = 5_000
"""What a link must carry before a copy counts as stuck."""
ENDING_S = 15.0


@dataclass(frozen=True)
class Completed:
    """How a program ended: its status (128 + n when signal n ended it) and what it wrote."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Opened:
    """Where an open link leads: the folder on the device, and the control socket here."""

    folder: PurePosixPath
    socket: Path


class Link:
    """One connection to a device while it is active; at most one measures on a device at a time.

    The device keeps lock and folder exactly as long as the connection lasts: when it is closed, cut or forgotten, what
    runs there is ended and the folder removed. Entering raises DeviceUnreachable, DeviceBusy (the lock is not free
    within `wait_s` seconds) and DeviceFailed; every method raises DeviceUnreachable when the link is lost.
    """

    def __init__(self, address: Address, ssh: Ssh | None = None, *, wait_s: int = LOCK_WAIT_S) -> None:
        self.address = address
        self._ssh, self._wait_s = ssh or Ssh.default(), wait_s
        self._tickets = count()
        self._here: Path | None = None
        self._master: subprocess.Popen[bytes] | None = None
        self._quiet = threading.Event()
        self._opened: Opened | None = None
        self._sent: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._here = Path(tempfile.mkdtemp(prefix="nascc-", dir="/tmp"))  # a control socket has a short path
        try:
            self._opened = self._open(self._here / "control")
        except BaseException:
            self.close()
            raise
        self._quiet.clear()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> PurePosixPath:
        """The folder on the device."""
        return self._at.folder

    @property
    def _at(self) -> Opened:
        if self._opened is None:
            raise DeviceUnreachable(f"the link to {self.address} must be open; use it in a 'with' statement")
        return self._opened

    def run(
        self,
        words: Sequence[str],
        *,
        timeout_s: float = SHORT_S,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program in the folder, its words taken as they are. Raises DeviceFailed when it takes too long."""
        ticket = str(next(self._tickets))
        try:
            return self._session(scripts.program(words, str(self.folder), ticket, environment), timeout_s)
        except subprocess.TimeoutExpired as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._session(scripts.stop(str(self.folder), ticket), SHORT_S)
            raise DeviceFailed(
                f"'{words[0]}' must end within {timeout_s:.0f} s on {self.address}, it did not and was stopped"
            ) from error

    def script(self, text: str, *, timeout_s: float = SHORT_S) -> Completed:
        """Run a shell script in the folder. Raises DeviceFailed when it takes too long."""
        return self.run(["sh", "-c", text], timeout_s=timeout_s)

    def put(self, local: Path, name: str) -> str:
        """Copy a file into the folder, whole or not at all; returns its path there. Raises DeviceFailed.

        What was sent under the same name before, and is the same, is not sent again.
        """
        path, size, digest = str(self.folder / name), local.stat().st_size, sha256(local)
        if self._sent.get(name) == digest:
            return path
        with local.open("rb") as data:
            found = self._timed(scripts.receive(path), SHORT_S + size / SLOWEST_BYTES_PER_S, data.fileno())
        if found.status != 0 or found.stdout.split()[:1] != [digest]:
            why = failure_of(found.stderr) if found.stderr.strip() else "what arrived is not what was sent"
            raise DeviceFailed(f"'{local.name}' ({size} bytes) must be copied to {self.address}, but {why}")
        self._sent[name] = digest
        return path

    def remove(self, prefix: str) -> None:
        """Remove all of the folder whose name begins so; it is sent again where it is put again."""
        self.script(f"rm -rf -- {shlex.quote(prefix)}*")
        self._sent = {name: digest for name, digest in self._sent.items() if not name.startswith(prefix)}

    def put_bytes(self, content: bytes, name: str) -> str:
        """Write a file of the folder; returns its path there. Raises DeviceFailed."""
        with tempfile.NamedTemporaryFile(prefix="nascc-") as file:
            file.write(content)
            file.flush()
            return self.put(Path(file.name), name)

    def get(self, name: str) -> bytes:
        """The content of a file of the folder, checked against its digest there. Raises DeviceFailed."""
        path = str(self.folder / name)
        with tempfile.TemporaryFile(prefix="nascc-") as file:
            found = self._timed(scripts.give(path), float("inf"), into=file.fileno())
            file.seek(0)
            content = file.read()
        if found.status != 0:
            raise DeviceFailed(f"{self.address} must have written '{name}', but: {found.stderr.strip()}")
        if found.stderr.split()[:1] != [hashlib.sha256(content).hexdigest()]:
            raise DeviceFailed(f"'{name}' must arrive from {self.address} as it is there, but it did not")
        return content

    def close(self) -> None:
        """Let the device clean up, and end the connection; nothing is left on either side."""
        self._quiet.set()
        self._opened = None
        self._sent.clear()
        master, self._master = self._master, None
        if master is not None:
            _end(master)
        if self._here is not None:
            shutil.rmtree(self._here, ignore_errors=True)
            self._here = None

    def _open(self, socket: Path) -> Opened:
        words = self._ssh.master(self.address, socket, scripts.holder(self._wait_s))
        errors = (socket.parent / "errors").open("wb")
        with errors:
            try:
                self._master = subprocess.Popen(
                    words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
                )
            except OSError as error:
                raise DeviceUnreachable(f"the program ssh must be here to reach a device, but: {error}") from error
        lines = _lines_until_ready(self._master, self._wait_s + 3 * CONNECT_S)
        ready = next((line for line in lines if line.startswith(scripts.READY)), None)
        if ready is None:
            self._refuse(self._master, lines, (socket.parent / "errors").read_text(errors="replace"))
        return Opened(PurePosixPath(ready.split(" ", 1)[1]), socket)

    def _refuse(self, master: "subprocess.Popen[bytes]", lines: Sequence[str], errors: str) -> NoReturn:
        """Raise what the end of the connection means."""
        _end(master)
        status = master.returncode
        if status == scripts.BUSY_STATUS:
            users = sorted({line.split()[2] for line in lines if scripts.PREFIX in line and len(line.split()) > 3})
            who = f"user {' and '.join(users)} measures there" if users else "somebody measures there"
            raise DeviceBusy(f"{self.address} must be free within {self._wait_s} s, but {who}; try again later")
        if status == scripts.NO_FOLDER_STATUS:
            raise DeviceFailed(f"a folder must be made on {self.address}, but {failure_of(errors)}")
        if status not in (LINK_LOST, -9, -15):
            raise DeviceFailed(f"{self.address} must have a POSIX shell and flock, but {failure_of(errors)}")
        raise DeviceUnreachable(f"{self.address} can not be reached: {failure_of(errors)}")

    def _beat(self) -> None:
        """Tell the device now and then that somebody is here."""
        master = self._master
        while not self._quiet.wait(BEAT_S) and master is not None and master.stdin is not None:
            try:
                master.stdin.write(b"\n")
                master.stdin.flush()
            except (OSError, ValueError):
                return

    def _timed(self, command: str, timeout_s: float, data: int | None = None, into: int | None = None) -> Completed:
        try:
            return self._session(command, timeout_s, data, into)
        except subprocess.TimeoutExpired as error:
            raise DeviceUnreachable(f"{self.address} must answer within {timeout_s:.0f} s, it did not") from error

    def _session(self, command: str, timeout_s: float, data: int | None = None, into: int | None = None) -> Completed:
        """Run a command over the connection. Raises DeviceUnreachable, subprocess.TimeoutExpired."""
        words = self._ssh.session(self.address, self._at.socket, command)
        found = subprocess.run(
            words,
            stdin=subprocess.DEVNULL if data is None else data,
            stdout=subprocess.PIPE if into is None else into,
            stderr=subprocess.PIPE,
            timeout=None if timeout_s == float("inf") else timeout_s,
            start_new_session=True,
            check=False,
        )
        out, err = ((part or b"").decode(errors="replace") for part in (found.stdout, found.stderr))
        if found.returncode == LINK_LOST and self._lost():
            raise DeviceUnreachable(f"the link to {self.address} was lost: {failure_of(err)}; run the same again")
        return Completed(found.returncode if found.returncode >= 0 else 128 - found.returncode, out, err)

    def _lost(self) -> bool:
        """Is the connection gone? ssh passes on a program's own 255, too."""
        assert self._master is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._master.wait(2.0)
        return self._master.poll() is not None


def _lines_until_ready(master: "subprocess.Popen[bytes]", timeout_s: float) -> list[str]:
    """What the device says until it is ready, or ends, or time is up."""
    assert master.stdout is not None
    deadline, text = time.monotonic() + timeout_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(master.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                break
            piece = os.read(master.stdout.fileno(), 65536)
            text += piece
            if not piece or any(line.startswith(scripts.READY.encode()) for line in text.split(b"\n")[:-1]):
                break
    return text.decode(errors="replace").splitlines()


def _end(master: "subprocess.Popen[bytes]") -> None:
    """Close standard input, which makes the device clean up, and wait for the end."""
    if master.stdin is not None:
        with contextlib.suppress(OSError):
            master.stdin.close()
    try:
        master.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        master.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.wait(ENDING_S)
        master.kill()
        master.wait()
    if master.stdout is not None:
        master.stdout.close()
