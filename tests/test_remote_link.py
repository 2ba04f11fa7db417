"""The link to a device, over a real sshd on loopback: addresses, files, programs, lock, ends, cuts."""

import getpass
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sshd
from device_kit import Proxy, proxied
from nascc.runtime.errors import BadAddress, DeviceBusy, DeviceFailed, DeviceUnreachable
from nascc.runtime.remote import Address, Link, Ssh
from nascc.runtime.remote.ssh import failure_of

needs_sshd = pytest.mark.skipif(not sshd.AVAILABLE, reason=sshd.REASON)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd") / "d") as found:
        yield found


def link(daemon: sshd.Sshd, **given: int) -> Link:
    return Link(Address.parse(daemon.address), Ssh(daemon.config), **given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssh://jetson", Address("jetson")),
        ("ssh://me@board.local:2222", Address("board.local", "me", 2222)),
        ("ssh://me@[fe80::1%eth0]:22", Address("fe80::1%eth0", "me", 22)),
        ("ssh://192.168.55.1/", Address("192.168.55.1")),
    ],
)
def test_reads_addresses(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected
    assert Address.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "jetson", "http://jetson", "ssh://", "ssh://-oProxyCommand=touch x", "ssh://me@-oProxyCommand=x",
        "ssh://me@$(touch x)", "ssh://me@a;b", "ssh://me@a b", "ssh://me@a`b`", "ssh://-l@host", "ssh://$(x)@host",
        "ssh://me@host/path", "ssh://me@host:0", "ssh://me@host:99999", "ssh://me@host:x", "ssh://me@host\n",
        "ssh://me@[::1", "ssh://me@[not v6]", "ssh://me@host?x=1", "ssh://me@a'b", 'ssh://me@a"b', "ssh://me@a|b",
    ],
)  # fmt: skip
def test_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress) as found:
        Address.parse(text)
    assert found.value.exit_code == 2


def test_a_password_in_an_address_is_never_taken() -> None:
    with pytest.raises(BadAddress, match="passwords are never taken"):
        Address.parse("ssh://me:secret@host")


def test_names_can_not_become_options() -> None:
    words = Ssh().master(Address("host", "me", 22), Path("/tmp/x"), "command")
    assert words[-3:] == ["--", "host", "command"] and "BatchMode=yes" in words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Host key verification failed.", "host key is not known"),
        ("@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "another one than known_hosts"),
        ("me@h: Permission denied (publickey,password).", "a password is never asked for"),
        ("ssh: connect to host h port 22: Connection refused", "nothing listens"),
        ("ssh: connect to host h port 22: No route to host", "no route"),
        ("ssh: Could not resolve hostname h: Name or service not known", "known nowhere"),
        ("ssh: connect to host h port 22: Connection timed out", "did not answer in time"),
        ("something else", "ssh says: something else"),
        ("", "ssh says nothing"),
    ],
)
def test_says_why_ssh_failed(said: str, words: str) -> None:
    assert words in failure_of(said)


@needs_sshd
class TestLink:
    def test_programs_files_and_their_ends(self, daemon: sshd.Sshd, tmp_path: Path) -> None:
        odd = ["a $(touch gone) `x`", "b;c|d&e", 'q"q', "p'p", "*", "\\", "line\nline"]
        with link(daemon) as opened:
            assert opened.run(["printf", "%s\n", *odd]).stdout == "".join(f"{word}\n" for word in odd)
            assert opened.run(["sh", "-c", "exit 255"]).status == 255
            assert opened.script("kill -9 $$").status == 137
            content = os.urandom(300_000)
            name = "odd $(touch gone) ;'\".bin"
            opened.put_bytes(content, name)
            assert opened.get(name) == content
            assert opened.script("ls").stdout.split("\n")[:3] == ["alive", name, "pids"]
            with pytest.raises(DeviceFailed, match="No such file"):
                opened.get("absent")
            with pytest.raises(DeviceFailed, match="must end within 1 s"):
                opened.run(["sleep", "600"], timeout_s=1)
            assert not any("600" in words for words in daemon.sessions())
        daemon.wait_until_clean()

    def test_one_at_a_time(self, daemon: sshd.Sshd) -> None:
        with link(daemon):
            with pytest.raises(DeviceBusy, match=f"user {getpass.getuser()} measures there"), link(daemon, wait_s=0):
                pass
            later = threading.Thread(target=lambda: link(daemon, wait_s=30).__enter__().close())
            later.start()
        later.join(30)
        assert not later.is_alive()
        daemon.wait_until_clean()

    def test_a_link_closed_at_once_leaves_nothing(self, daemon: sshd.Sshd) -> None:
        for _ in range(20):
            with link(daemon):
                pass
        daemon.wait_until_clean()

    def test_a_killed_client_leaves_nothing(self, daemon: sshd.Sshd) -> None:
        opened = link(daemon)
        opened.__enter__()
        errors: list[BaseException] = []
        thread = threading.Thread(target=_catching(lambda: opened.run(["sleep", "600"]), errors))
        thread.start()
        while not any("600" in words for words in daemon.sessions()):
            time.sleep(0.05)
        assert opened._master is not None
        opened._master.kill()
        thread.join(30)
        daemon.wait_until_clean()
        assert isinstance(errors[0], DeviceUnreachable) and errors[0].exit_code == 7
        opened.close()

    @pytest.mark.parametrize("when", ["copy", "run"])
    def test_a_cut_link_is_clean_and_can_be_used_again(self, daemon: sshd.Sshd, tmp_path: Path, when: str) -> None:
        content = os.urandom(3_000_000)
        with proxied(daemon, tmp_path) as (proxy, far):
            opened = link(far)
            with opened, pytest.raises(DeviceUnreachable, match="was lost.*run the same again"):
                _used_and_cut(opened, proxy, when, content)
            daemon.wait_until_clean()
            with link(far) as again:
                again.put_bytes(content, "file")
                assert again.get("file") == content
        daemon.wait_until_clean()

    def test_a_full_disk_is_told(self, daemon: sshd.Sshd) -> None:
        with link(daemon) as opened:
            # /dev/full behaves as a disk without space
            opened.script("ln -s /dev/full file.part")
            with pytest.raises(DeviceFailed, match="disk is full") as found:
                opened.put_bytes(b"x" * 100_000, "file")
        assert found.value.exit_code == 7
        daemon.wait_until_clean()

    def test_an_unknown_host_key_is_refused(self, daemon: sshd.Sshd, tmp_path: Path) -> None:
        config = tmp_path / "config"
        config.write_text(daemon.config.read_text().replace(str(daemon.folder / "known"), str(tmp_path / "empty")))
        opened = Link(Address.parse(daemon.address), Ssh(config))
        with pytest.raises(DeviceUnreachable, match="host key is not known"), opened:
            pass
        assert not (tmp_path / "empty").exists()

    def test_a_changed_host_key_is_refused(self, daemon: sshd.Sshd, tmp_path: Path) -> None:
        sshd.make_key(tmp_path / "other")
        config, other = tmp_path / "config", (tmp_path / "other.pub").read_text().strip()
        sshd.client_config(config, daemon.folder / "user", tmp_path / "known", daemon.port, other)
        with pytest.raises(DeviceUnreachable, match="another one than known_hosts has"):
            Link(Address.parse(daemon.address), Ssh(config)).__enter__()

    def test_a_wrong_key_is_refused_without_asking(self, daemon: sshd.Sshd, tmp_path: Path) -> None:
        sshd.make_key(tmp_path / "wrong")
        config = tmp_path / "config"
        config.write_text(daemon.config.read_text().replace(str(daemon.folder / "user"), str(tmp_path / "wrong")))
        with pytest.raises(DeviceUnreachable, match="put a key there with ssh-copy-id"):
            Link(Address.parse(daemon.address), Ssh(config)).__enter__()

    def test_nobody_listens(self, daemon: sshd.Sshd) -> None:
        address = Address("127.0.0.1", None, sshd.free_port())
        with pytest.raises(DeviceUnreachable, match="nothing listens"):
            Link(address, Ssh(daemon.config)).__enter__()

    def test_no_ssh_here(self, daemon: sshd.Sshd) -> None:
        with pytest.raises(DeviceUnreachable, match="the program ssh must be here"):
            Link(Address.parse(daemon.address), Ssh(daemon.config, "no-such-ssh")).__enter__()

    def test_a_lost_link_does_not_connect_anew(self, daemon: sshd.Sshd) -> None:
        with link(daemon) as opened:
            words = opened._ssh.session(opened.address, Path("/tmp/nascc-no-socket"), "echo here")
            found = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert found.returncode == 255 and "here" not in found.stdout

    @pytest.mark.slow
    def test_a_hundred_cycles_leave_nothing(self, daemon: sshd.Sshd) -> None:
        before = _here()
        for _ in range(100):
            with link(daemon) as opened:
                opened.put_bytes(b"x", "file")
                assert opened.run(["cat", "file"]).stdout == "x"
        daemon.wait_until_clean()
        assert _here() == before


def _used_and_cut(opened: Link, proxy: Proxy, when: str, content: bytes) -> None:
    if when == "copy":
        proxy.cut_after = proxy.carried + 1_000_000
        opened.put_bytes(content, "file")
    threading.Timer(0.5, proxy.cut).start()
    opened.run(["sleep", "600"])


def _here() -> list[str]:
    return sorted(p.name for p in Path("/tmp").glob("nascc-*"))


def _catching(work: object, errors: list[BaseException]) -> object:
    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    return run
