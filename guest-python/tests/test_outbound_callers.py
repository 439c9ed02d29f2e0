"""Which packages make a request."""

import pytest

from par_guest.outbound.callers import packages

SITE = "/deps/lib/python3.14/site-packages"


def through(files):
    """What `packages` says when functions in `files` call each other in this order."""
    call = packages
    for file in reversed(files):
        names = {"inner": call}
        exec(compile("def outer():\n    return inner()\n", file, "exec"), names)  # noqa: S102
        call = names["outer"]
    return call()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["/agent/main.py"], []),
        (["/agent/main.py", "/python/urllib/request.py"], []),
        (["/agent/main.py", f"{SITE}/evil.py"], ["evil"]),
        (
            ["/agent/a.py", f"{SITE}/sdk/a.py", f"{SITE}/sdk/b.py", f"{SITE}/httpx/c.py"],
            ["sdk", "httpx"],
        ),
        (["/agent/main.py", f"{SITE}/a/x.py", "/platform/par_guest/outbound/sockets.py"], ["a"]),
        # What called the agent is not what the agent calls.
        (["/platform/fastapi/app.py", "/agent/main.py", "/platform/h.py"], ["h"]),
        (["<string>", f"{SITE}/a/x.py", f"{SITE}/b/x.py", f"{SITE}/a/x.py"], ["a", "b", "a"]),
    ],
)
def test_the_packages_between_the_agent_and_the_call_are_named(files, expected):
    assert through(["/agent/main.py", *files]) == expected


def test_no_more_than_eight_are_named():
    files = [f"{SITE}/p{number}/x.py" for number in range(20)]

    assert through(["/agent/main.py", *files]) == [f"p{number}" for number in range(8)]
