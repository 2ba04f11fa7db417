"""The shell scripts that run on a device; POSIX sh with flock, mktemp and find, which every Linux has."""

import shlex
from collections.abc import Mapping, Sequence

READY, BUSY_STATUS, NO_FOLDER_STATUS = "nascc-ready", 75, 73
LOCK = "/etc/passwd"
"""What is locked: a file that is on every device, that all may read, and that nobody has to remove afterwards."""
PREFIX = "nascc-"
STALE_MINUTES = 1

# It ends with KILL: a shell that was only just forked may lose any other signal.
_HOLDER = """
umask 077
command -v flock >/dev/null || {{ echo "flock is missing" >&2; exit 69; }}
exec 9<{lock}
flock -w {wait} 9 || {{ ls -ld "${{TMPDIR:-/tmp}}"/{prefix}?????????? 2>/dev/null; exit {busy}; }}
dir=$(mktemp -d "${{TMPDIR:-/tmp}}/{prefix}XXXXXXXXXX") || exit {no_folder}
mkdir "$dir/pids" && : >"$dir/alive" || exit {no_folder}
signal() {{ for f in "$dir"/pids/*; do [ -s "$f" ] && kill -s "$1" -- "-$(cat "$f")" 2>/dev/null; done; }}
finish() {{
  trap "" EXIT HUP INT TERM PIPE; signal TERM && sleep 1; signal KILL
  rm -rf "$dir" || {{ sleep 1; rm -rf "$dir"; }}
  kill -s KILL 0
}}
trap finish EXIT; trap "exit 1" HUP INT TERM PIPE
( exec 9<&- >/dev/null 2>&1 </dev/null; old=0
  while sleep 20 && [ -e "$dir/alive" ]; do
    if [ -n "$(find "$dir/alive" -mmin +{stale})" ]; then old=$((old+1)); else old=0; fi
    [ $old -lt 2 ] || kill -TERM $$
  done ) &
echo "{ready} $dir"
while read -r beat; do : >"$dir/alive"; done
"""


def holder(wait_s: int) -> str:
    """Take the lock within `wait_s` seconds, make a folder, and keep both until standard input ends.

    Then, or when nothing was heard for some minutes, what still runs is ended and the folder removed.
    """
    script = _HOLDER.format(
        lock=LOCK, wait=int(wait_s), prefix=PREFIX, busy=BUSY_STATUS, no_folder=NO_FOLDER_STATUS,
        stale=STALE_MINUTES, ready=READY,
    )  # fmt: skip
    return posix(script)


def posix(script: str) -> str:
    """A script as one command for whatever shell the user has."""
    return f"exec sh -c {shlex.quote(script.strip())}"


def program(words: Sequence[str], folder: str, ticket: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a program in `folder`, temporary files too; its group of processes stands in `pids/ticket` while it runs."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items())
    pid = shlex.quote(f"{folder}/pids/{ticket}")
    script = (
        f"cd {shlex.quote(folder)} || exit 73; echo $$ >{pid}; export TMPDIR={shlex.quote(folder)}; "
        f"{settings} {shlex.join(words)}; status=$?; rm -f {pid}; exit $status"
    )
    return posix(script)


def stop(folder: str, ticket: str) -> str:
    """End the program of a ticket and all it started."""
    pid = shlex.quote(f"{folder}/pids/{ticket}")
    return posix(
        f"[ -s {pid} ] || exit 0; p=$(cat {pid}); "
        f"kill -s TERM -- -$p; sleep 1; kill -s KILL -- -$p; rm -f {pid}; exit 0"
    )


def receive(path: str) -> str:
    """Write standard input to a file, whole or not at all, and print its sha256."""
    part, whole = shlex.quote(path + ".part"), shlex.quote(path)
    return posix(f"cat >{part} && sha256sum <{part} && mv {part} {whole} || {{ s=$?; rm -f {part}; exit $s; }}")


def give(path: str) -> str:
    """Print a file, and its sha256 on standard error."""
    return posix(f"sha256sum <{shlex.quote(path)} >&2 && cat <{shlex.quote(path)}")
