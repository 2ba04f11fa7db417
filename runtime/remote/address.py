"""Where a device is: `ssh://user@host:port`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from nascc.runtime.errors import BadAddress

FORM = "ssh://user@host[:port]"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")


@dataclass(frozen=True)
class Address:
    """A host, or an alias of the ssh configuration; user and port are ssh's own where they are None."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address. Raises BadAddress for anything that ssh or a shell could take for something else."""
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise BadAddress(f"a device must be {FORM}, got {text!r}: {error}") from error
        user, _, place = parts.netloc.rpartition("@")
        host = _host(place)
        extra = parts.path.strip("/") or parts.query or parts.fragment
        if parts.scheme != "ssh" or host is None or extra or any(not c.isprintable() or c.isspace() for c in text):
            raise BadAddress(f"a device must be {FORM}, with a plain host name, got {text!r}")
        if user and not _NAME.fullmatch(user):
            hint = "; passwords are never taken, use a key" if ":" in user else ""
            raise BadAddress(f"the user of a device must be a plain name, got {user!r}{hint}")
        if port == 0:
            raise BadAddress(f"the port of a device must be from 1 to 65535, got {text!r}")
        return cls(host, user or None, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{self.user + '@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The last words of an ssh command line: options, then `--` so that no name is taken for one."""
        user = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*user, *port, "--", self.host)


def _host(place: str) -> str | None:
    """The host of `host`, `host:port` or `[v6]:port`; None where it is no plain name."""
    if place.startswith("["):
        inside, bracket, rest = place[1:].partition("]")
        return inside if bracket and _IPV6.fullmatch(inside) and re.fullmatch(r"(:\d+)?", rest) else None
    host, _, port = place.partition(":")
    return host if _NAME.fullmatch(host) and re.fullmatch(r"\d*", port) else None
