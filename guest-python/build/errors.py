"""The one exception the build programs end with."""


class BuildError(Exception):
    """A sentence about what could not be built, and optionally the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
