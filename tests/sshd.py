"""A real sshd on loopback for tests, with keys, users' settings and known hosts of its own; nothing of the user's."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
REASON = "needs sshd and ssh: apt-get install openssh-server openssh-client"
MARK = "NASCC_TEST_SSHD"
AVAILABLE = PROGRAM is not None and shutil.which("ssh") is not None


@dataclass(frozen=True)
class Sshd:
    """A daemon that listens: its address, the client's configuration, and where sessions put their temporary files."""

    port: int
    config: Path
    tmp: Path
    folder: Path

    @property
    def address(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def left_over(self) -> list[str]:
        """What was left on the device."""
        return sorted(path.name for path in self.tmp.iterdir())

    def sessions(self) -> list[str]:
        """Processes of sessions on the device: they carry a mark in their environment."""
        mark, found = f"{MARK}={self.port}".encode(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    def wait_until_clean(self, seconds: float = 120.0) -> None:
        """Return when nothing is left; fail with what is."""
        deadline = time.monotonic() + seconds
        while self.left_over() or self.sessions():
            assert time.monotonic() < deadline, (self.left_over(), self.sessions())
            time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def client_config(path: Path, key: Path, known: Path, port: int, host_key: str) -> None:
    """Write what a client needs to log in with `key` at `port`, knowing the host."""
    known.write_text(f"[127.0.0.1]:{port} {host_key}\n")
    path.write_text(
        f"IdentityFile {key}\nIdentitiesOnly yes\nUserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n"
        "IdentityAgent none\nHashKnownHosts no\n"
    )


@contextlib.contextmanager
def running(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Sshd]:
    """A daemon in `folder`; its sessions get `environment`, and their own TMPDIR."""
    assert PROGRAM is not None
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    tmp = folder / "device-tmp"
    tmp.mkdir()
    tmp.chmod(0o777)
    for name in ("host", "user"):
        make_key(folder / name)
    shutil.copy(folder / "user.pub", folder / "authorized")
    port = free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {MARK: str(port), "HOME": str(tmp.parent), "PATH": path, "TMPDIR": str(tmp), "OMP_NUM_THREADS": "1"} | (
        environment or {}
    )
    settings = " ".join(f'{name}="{value}"' for name, value in given.items())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nPidFile none\nSetEnv {settings}\nMaxStartups 100\nMaxSessions 100\n"
    )
    config = folder / "client_config"
    client_config(config, folder / "user", folder / "known", port, (folder / "host.pub").read_text().strip())
    log = (folder / "sshd.log").open("wb")
    daemon = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        wait_for(port, daemon)
        yield Sshd(port, config, tmp, folder)
    finally:
        daemon.terminate()
        daemon.wait(10)
        log.close()


def wait_for(port: int, daemon: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert daemon.poll() is None, "sshd ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("sshd does not listen")
