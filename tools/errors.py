"""The error of the tools package: what a command itself refuses."""


class CommandError(Exception):
    """One sentence for the user; `exit_code` is what the command ends with (2 usage, 3 wrong content, 9 unsafe)."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
