"""How devices are reached: plain data, as it stands on a command line or in the configuration of a run."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from nascc.runtime.remote.address import Address
from nascc.runtime.remote.link import LOCK_WAIT_S, Link
from nascc.runtime.remote.ssh import Ssh
from nascc.runtime.table import Table


class Access(Table):
    """Addresses of devices (`ssh://user@host:port`), all of one kind, and what is called there.

    `ssh_config` replaces the user's ssh configuration, `trtexec` and `python` are programs on the device, `wait_s` is
    how long to wait for a device that somebody measures on.
    """

    addresses: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    ssh_config: str | None = None
    trtexec: str = "trtexec"
    python: str = "python3"
    wait_s: Annotated[int, Field(ge=0)] = LOCK_WAIT_S

    def parsed(self) -> tuple[Address, ...]:
        """The addresses. Raises BadAddress."""
        return tuple(map(Address.parse, self.addresses))

    def link(self, address: Address | None = None) -> Link:
        """A connection to one of the devices, the first one for None; it opens on entry. Raises BadAddress."""
        ssh = Ssh.default() if self.ssh_config is None else Ssh(Path(self.ssh_config))
        return Link(address or self.parsed()[0], ssh, wait_s=self.wait_s)
