"""Asks an extension, or Python itself, what it makes of many inputs, and says what it answered.

A file of `tests/cases/extensions` or `language` is code, a line `# ---`, and one expression a line. Beside it
are the answers of CPython outside of the sandbox, with the same release of the extension. Run as
a program it writes the answers of the files it is given.
"""

import json
import sys
from pathlib import Path


def answers(text):
    """One line for each expression: what it is, or what it raises."""
    setup, _, expressions = text.partition("\n# ---\n")
    names = {"__name__": "battery"}
    exec(setup, names)
    return [answer(expression, names) for expression in expressions.splitlines() if expression]


def answer(expression, names):
    """What one expression is, or what it raises."""
    try:
        return repr(eval(expression, names))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def app(scope, receive, send):
    """Answers a file that is posted, inside of the sandbox."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps(answers(body.decode())).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    for name in sys.argv[1:]:
        lines = answers(Path(name).read_text())
        Path(name).with_suffix(".answers").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
