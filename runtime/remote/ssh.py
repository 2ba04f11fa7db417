"""Command lines of the system's ssh, and what it means when it fails."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from nascc.runtime.remote.address import Address

CONFIG_VARIABLE = "NASCC_SSH_CONFIG"
ALIVE_S, ALIVE_TIMES, CONNECT_S = 15, 4, 30
"""How often a silent link is tried and how often in vain; a slow link answers late while it is full of our own data."""
_FIXED = {
    "BatchMode": "yes",  # nobody is asked for anything: no password, no new host key
    "ConnectTimeout": str(CONNECT_S),
    "ServerAliveInterval": str(ALIVE_S),
    "ServerAliveCountMax": str(ALIVE_TIMES),
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ControlPersist": "no",
    "EscapeChar": "none",
    "LogLevel": "ERROR",
}


@dataclass(frozen=True)
class Ssh:
    """How ssh is called. `config` replaces the user's configuration file; the program is the first `ssh` in PATH."""

    config: Path | None = None
    program: str = "ssh"

    @classmethod
    def default(cls) -> "Ssh":
        """With the configuration file that NASCC_SSH_CONFIG names, else the user's own."""
        named = os.environ.get(CONFIG_VARIABLE)
        return cls(Path(named) if named else None)

    def master(self, address: Address, socket: Path, command: str) -> list[str]:
        """The words that open the one connection, and run `command` in it."""
        return [*self._start({"ControlMaster": "yes", "ControlPath": str(socket)}), *address.arguments, command]

    def session(self, address: Address, socket: Path, command: str) -> list[str]:
        """The words that run `command` over the open connection, and fail where it is gone."""
        shared = {"ControlMaster": "no", "ControlPath": str(socket), "ProxyCommand": "false"}
        return [*self._start(shared), *address.arguments, command]

    def _start(self, options: dict[str, str]) -> list[str]:
        config = ["-F", str(self.config)] if self.config is not None else []
        given = [word for name, value in (_FIXED | options).items() for word in ("-o", f"{name}={value}")]
        return [self.program, *config, *given]


_FAILURES = (
    (r"REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is another one than known_hosts has; if that is right, "
     "remove the old one with ssh-keygen -R"),
    (r"Host key verification failed|No \w+ host key is known", "its host key is not known; log in once with ssh to "
     "check it and have it stored"),
    (r"Permission denied|Too many authentication failures|no mutual signature|Load key .* error in libcrypto",
     "it accepts no key of ours; a password is never asked for, put a key there with ssh-copy-id"),
    (r"Could not resolve hostname", "its name is known nowhere; check the address"),
    (r"Connection refused", "nothing listens at that port; check the port, and that sshd runs"),
    (r"No route to host|Network is unreachable", "there is no route to it; check the network"),
    (r"timed out|Timeout", "it did not answer in time; check that it is on, and the network"),
    (r"Bad configuration option|Bad owner or permissions|Can't open user config file|terminating, \d+ bad",
     "the ssh configuration can not be used; see what ssh says"),
    (r"No space left on device", "its disk is full"),
)  # fmt: skip


def failure_of(stderr: str) -> str:
    """Why ssh failed and what to do, in words, from what it wrote; its own last line where that is unknown."""
    said = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("@")]
    last = said[-1] if said else "ssh says nothing"
    for pattern, words in _FAILURES:
        if re.search(pattern, stderr, re.IGNORECASE):
            return f"{words} (ssh: {last[:200]})"
    return f"ssh says: {last[:300]}"
