"""Makes libraries work that expect threads, processes, sockets and a temporary directory.

The sandbox has none of them. What a library does in a thread only to keep the event loop
free is done at once; what cannot be done is refused with a sentence that says what to do
instead. Nothing here is applied outside the sandbox.
"""

from __future__ import annotations

import sys

from par_guest import (
    additions,
    inline_calls,
    memory_files,
    outbound,
    refusals,
    without_cryptography,
)
from par_guest.replacing import replace_everywhere

_applied = False


def apply(*, in_sandbox: bool | None = None) -> None:
    """Applies all fixes once; `in_sandbox` overrides the detection, for tests.

    Names that modules took from each other are replaced where they are, and modules
    imported later find the replacements in place. Looking at every module takes a while, so
    the guest calls this when it is built; calling it again costs nothing.
    """
    global _applied
    if in_sandbox is None:
        in_sandbox = sys.platform == "wasi"
    if not in_sandbox or _applied:
        return
    _applied = True
    additions.apply()
    without_cryptography.apply()
    replace_everywhere(inline_calls.apply() | memory_files.apply() | refusals.apply())


def apply_again(distributions: set[str], *, in_sandbox: bool | None = None) -> None:
    """Applies the fixes of libraries that were forgotten, because the agent brings others."""
    if in_sandbox is None:
        in_sandbox = sys.platform == "wasi"
    if in_sandbox and distributions & inline_calls.FIXED:
        replace_everywhere(inline_calls.apply_to_libraries())
        outbound.explain_broken_streams()
