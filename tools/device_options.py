"""The options of commands that use a device over ssh."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascc.tools.errors import CommandError

if TYPE_CHECKING:
    from nascc.runtime.profile import Target
    from nascc.runtime.remote.access import Access
    from nascc.runtime.table import Precision


@dataclass(frozen=True)
class Devices:
    """Where networks run, and how to get there."""

    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ssh://USER@HOST[:PORT]",
            help="A device that is reached with ssh, by key and with a known host key. Repeatable where boards of one "
            "kind share the work.",
        ),
    ] = None
    ssh_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration of ssh.  [NASCC_SSH_CONFIG, else the user's own]")
    ] = None
    trtexec: Annotated[
        str, typer.Option(metavar="PATH", help="TensorRT's trtexec there.  [in PATH, or where JetPack puts it]")
    ] = "trtexec"
    remote_python: Annotated[
        str, typer.Option(metavar="PATH", help="A Python with onnxruntime there, where there is no TensorRT.")
    ] = "python3"
    device_wait: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, help="How long to wait while somebody else measures there.")
    ] = 60

    @property
    def access(self) -> "Access | None":
        """How the devices are reached; None without a device. Raises BadAddress, CommandError."""
        from nascc.runtime.remote.access import Access

        if not self.device:
            return None
        if self.ssh_config is not None and not self.ssh_config.is_file():
            raise CommandError(f"--ssh-config must be a file, found none at '{self.ssh_config}'")
        found = Access(
            addresses=tuple(self.device),
            ssh_config=None if self.ssh_config is None else str(self.ssh_config.absolute()),
            trtexec=self.trtexec,
            python=self.remote_python,
            wait_s=self.device_wait,
        )
        found.parsed()
        return found

    def asked(self) -> dict[str, Any]:
        """The field of a run's configuration, where devices were given. Raises what `access` raises."""
        return {} if (access := self.access) is None else {"device": access.model_dump(mode="json")}

    def one(self) -> "Access":
        """How the one device is reached. Raises CommandError where none or several are given, BadAddress."""
        found = self.access
        if found is None or len(found.addresses) != 1:
            raise CommandError(f"--device must be given once, like ssh://user@host, got {list(self.device or ())}")
        return found


@dataclass(frozen=True)
class Precisions:
    """What an engine may compute in."""

    fp32: Annotated[bool, typer.Option("--fp32", help="Engines in fp32.")] = False
    fp16: Annotated[bool, typer.Option("--fp16", help="Engines in fp16.  [where the target has it]")] = False
    int8: Annotated[bool, typer.Option("--int8", help="Engines in int8, calibrated on --data.")] = False

    def chosen(self, target: "Target") -> "Precision":
        """The precision asked for, the target's usual one without. Raises CommandError, UnsupportedByTarget."""
        from nascc.compiler.errors import UnsupportedByTarget

        asked: list[Precision] = []
        names: tuple[Precision, ...] = ("fp32", "fp16", "int8")
        for name in names:
            if getattr(self, name):
                asked.append(name)
        if len(asked) > 1:
            raise CommandError(f"one precision must be asked for, got {', '.join(asked)}")
        if not asked:
            return "fp16" if "fp16" in target.precisions else "fp32"
        if target.software.runtime == "tensorrt" and asked[0] not in target.precisions:
            raise UnsupportedByTarget(
                f"{target.name} must be able to compute in {asked[0]}, but it can in {', '.join(target.precisions)}"
            )
        return asked[0]
