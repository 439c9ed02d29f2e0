"""Finds what a package imports and the guest lacks: runs for `par check --verdict`.

Source is parsed here, by the Python that would run it, and never imported: no code of the
package runs.
"""

import ast
import importlib
import importlib.util
import json
import sys
import warnings

REFUSING = {
    "bz2": "it can be imported; compressing is refused",
    "ctypes": "it can be imported; calling native code is refused",
    "lzma": "it can be imported; compressing is refused",
    "mmap": "it can be imported; mapping a file is refused",
    "multiprocessing": "it can be imported; starting a process is refused",
    "pty": "it can be imported; starting a process is refused",
    "smtplib": "it can be imported; PAR carries HTTP and nothing else",
    "socketserver": "it can be imported; listening is refused",
    "subprocess": "it can be imported; starting a process is refused",
    "_thread": "it can be imported; starting a thread is refused",
}
"""Modules of the standard library that are there, and refuse what they are for."""

IGNORED = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
"""What code catches that works without a module."""

warnings.simplefilter("ignore")


async def app(scope, receive, send):
    """Answers `{"files": {path: source}, "known": [module]}` with remarks about imports."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    asked = json.loads(body)
    known = set(asked["known"])
    found = []
    for path, source in sorted(asked["files"].items()):
        found += remarks(path, source, known)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


def remarks(path, source, known):
    """What is worth saying of the imports of one file."""
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 0
        yield {
            "file": path,
            "line": line,
            "module": "",
            "kind": "unreadable",
            "optional": False,
            "because": str(error),
        }
        return
    seen = set()
    for module, line, optional in imports(tree.body, False):
        top = module.partition(".")[0]
        if top in known or (module, optional) in seen:
            continue
        seen.add((module, optional))
        is_standard = top in sys.stdlib_module_names
        remark = {"file": path, "line": line, "module": module, "optional": optional, "because": ""}
        if is_standard and not works(module):
            yield remark | {"kind": "absent"}
        elif top in REFUSING:
            yield remark | {"kind": "refuses", "because": REFUSING[top]}
        elif not is_standard and not exists(top):
            yield remark | {"kind": "not-installed"}


def exists(module):
    """Whether something outside of the standard library can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def works(module):
    """Whether a module of the standard library can be imported, which some are there and cannot."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    except Exception:
        return True
    return True


def imports(statements, optional):
    """Name, line and whether the code works without it, of every absolute import."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, statement.lineno, optional
        elif isinstance(statement, ast.ImportFrom):
            if not statement.level and statement.module:
                yield statement.module, statement.lineno, optional
        elif isinstance(statement, ast.Try):
            guarded = optional or any(catches(one.type) for one in statement.handlers)
            yield from imports(statement.body, guarded)
            for handler in statement.handlers:
                yield from imports(handler.body, optional)
            yield from imports([*statement.orelse, *statement.finalbody], optional)
        elif isinstance(statement, ast.If):
            unused = "TYPE_CHECKING" in ast.dump(statement.test)
            yield from imports(statement.body, optional or unused)
            yield from imports(statement.orelse, optional)
        else:
            for name in ("body", "orelse", "finalbody"):
                yield from imports(getattr(statement, name, None) or [], optional)
            for case in getattr(statement, "cases", ()):
                yield from imports(case.body, optional)


def catches(kind):
    """Whether an `except` clause lets code go on without a module."""
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(isinstance(one, ast.Name) and one.id in IGNORED for one in kinds)
