"""The error of the tools package: what a command itself refuses."""


class CommandError(Exception):
    """One sentence for the user; `exit_code` is what the command ends with (2 usage, 3 wrong content, 9 unsafe)."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says, for use inside a sentence."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
