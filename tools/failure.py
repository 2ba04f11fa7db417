"""Every exception as what a person sees of it: one sentence and an exit code."""

from dataclasses import dataclass

INTERNAL = 1
USAGE = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class Failure:
    """How a command ended: its exit code, and the sentence that says why."""

    exit_code: int
    message: str

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Read an exception: its own `exit_code`, an interruption, a path that does not work, or a bug."""
        if isinstance(error, KeyboardInterrupt):
            return cls(INTERRUPTED, "interrupted; nothing was written")
        if isinstance(code := getattr(error, "exit_code", None), int):
            return cls(code, sentence(error))
        if isinstance(error, MemoryError):
            return cls(INTERNAL, "the machine must have enough memory for the model, but it ran out")
        if isinstance(error, OSError) and error.filename is not None:
            return cls(USAGE, f"'{error.filename}' must be accessible, but: {error.strerror or error}")
        return cls(
            INTERNAL, f"internal error: {type(error).__name__}: {sentence(error)}; run again with -v to see where"
        )


def sentence(error: BaseException) -> str:
    """The message of an exception; of a foreign one, which may be a page long, the first line."""
    if callable(shown := getattr(error, "format_message", None)):  # a usage error of the command line
        command = getattr(getattr(error, "ctx", None), "command_path", "nascc")
        return f"{str(shown()).rstrip('.')}; see '{command} --help'"
    lines = str(error).strip().splitlines() or ["no message"]
    return "\n".join(lines) if hasattr(error, "exit_code") else lines[0]
