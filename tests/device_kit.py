"""What tests of devices share: a daemon for the whole run, programs that stand in for trtexec, and a proxy to cut."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import nn

import sshd

STAND_IN = Path(__file__).with_name("trtexec_stand_in.py")


def options(daemon: sshd.Sshd, trtexec: Path | None = None) -> list[str]:
    """What every command line for the daemon needs."""
    words = ["--device", daemon.address, "--ssh-config", str(daemon.config), "--remote-python", sys.executable]
    return [*words, *(["--trtexec", str(trtexec)] if trtexec else [])]


def stand_in(folder: Path, version: str, failure: str = "") -> Path:
    """A program that plays trtexec of a version: a stand-in, no TensorRT takes part."""
    program = folder / f"trtexec-{version}-{failure or 'good'}"
    settings = f"STAND_IN_TENSORRT={version} STAND_IN_FAILURE={failure}"
    program.write_text(f'#!/bin/sh\n{settings} exec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    return program


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU6(), nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    ).eval()  # fmt: skip


def small_file(path: Path, target: str = "nano") -> Path:
    """An ONNX file for a target."""
    from nascc.compiler import compile

    compile(small_network(), shapes=["x:1x3x32x32"], input_names=["x"], target=target, verify=False).save(path)
    return path


class Proxy:
    """A link on loopback that can be cut: a TCP proxy before a daemon, at the speed of `bytes_per_s`."""

    def __init__(self, port: int, bytes_per_s: float = float("inf")) -> None:
        self.target, self.bytes_per_s, self.carried = port, bytes_per_s, 0
        self.cut_after: int | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """End every connection at once, as a cable that is pulled."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: object, *given: object) -> None:
        thread = threading.Thread(target=work, args=given, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self._pairs.append((near, far))
            self._start(self._carry, near, far, True)
            self._start(self._carry, far, near, False)

    def _carry(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        pause = threading.Event()
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 14):
                if counts:
                    self.carried += len(piece)
                    if self.cut_after is not None and self.carried > self.cut_after:
                        self.cut_after = None
                        self.cut()
                        return
                    if self.bytes_per_s != float("inf"):
                        pause.wait(len(piece) / self.bytes_per_s)
                sink.sendall(piece)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.close()


@contextlib.contextmanager
def proxied(daemon: sshd.Sshd, folder: Path, bytes_per_s: float = float("inf")) -> Iterator[tuple[Proxy, sshd.Sshd]]:
    """The daemon behind a proxy, with a client configuration for its port."""
    proxy = Proxy(daemon.port, bytes_per_s)
    folder.mkdir(exist_ok=True)
    config = folder / "client_config"
    key = (daemon.folder / "host.pub").read_text().strip()
    sshd.client_config(config, daemon.folder / "user", folder / "known", proxy.port, key)
    try:
        yield proxy, sshd.Sshd(proxy.port, config, daemon.tmp, daemon.folder)
    finally:
        proxy.close()


def large_file(path: Path, mib: int = 24) -> Path:
    """An ONNX file that takes some time to copy."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(torch.ones(mib * 2**18 // 64, 64).numpy(), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 64]), ("y", None)))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, mib * 2**18 // 64])
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], "gemm", transB=1)]
    graph = helper.make_graph(nodes, "large", [x], [y], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), path)
    return path
