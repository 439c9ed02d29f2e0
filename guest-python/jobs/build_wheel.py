"""Builds a wheel from a source distribution: the application PAR runs for it in the sandbox.

Everything the source distribution brings is hostile, its build backend included, which runs in
this interpreter. So nothing here is a check: what it may touch is decided by the host, and
what it answers is data the host checks. `/build` is the only place it can write to.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import tarfile
import tomllib
import traceback
import warnings
import zipfile

ARCHIVE = "/agent/sdist"
SOURCE = "/build/source"
WHEELS = "/build/wheels"

LONGEST_OUTPUT = 4000
"""Characters of the end of what the backend printed that an error shows."""

LEGACY = {"requires": ["setuptools"], "build-backend": "setuptools.build_meta:__legacy__"}
"""What PEP 517 says a source distribution without a `[build-system]` asks for."""

warnings.simplefilter("ignore")


async def app(scope, receive, send):
    """`/unpack`, `/requires` and `/wheel`, in that order."""
    if scope["type"] != "http":
        return
    steps = {"/unpack": unpack, "/requires": requires, "/wheel": wheel}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            status, body = 200, steps[scope["path"]]()
    except BaseException as error:  # whatever a backend raises, `SystemExit` included
        tail = printed.getvalue()[-LONGEST_OUTPUT:]
        said = {"error": f"{type(error).__name__}: {error}", "output": tail}
        said["traceback"] = traceback.format_exc()[-LONGEST_OUTPUT:]
        status, body = 500, json.dumps(said).encode()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def unpack():
    """Unpacks the source distribution; answers what it needs for its build."""
    os.makedirs(SOURCE)
    os.makedirs(WHEELS)
    if zipfile.is_zipfile(ARCHIVE):
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extractall(SOURCE)  # noqa: S202 - `/build` is all it could write to
    else:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(SOURCE, filter="data")
    return json.dumps(build_system()["requires"]).encode()


def requires():
    """Answers what the backend needs beyond that."""
    backend = prepared_backend()
    hook = getattr(backend, "get_requires_for_build_wheel", None)
    return json.dumps(list(hook()) if hook else []).encode()


def wheel():
    """Builds the wheel; answers the length of its file name, its file name and its bytes."""
    name = prepared_backend().build_wheel(WHEELS)
    with open(os.path.join(WHEELS, os.path.basename(name)), "rb") as file:
        content = file.read()
    encoded = os.path.basename(name).encode()
    return len(encoded).to_bytes(2, "big") + encoded + content


def root():
    """The one directory at the top of the archive."""
    [directory] = os.listdir(SOURCE)
    return f"{SOURCE}/{directory}"


def build_system():
    """`[build-system]` of the source distribution, complete."""
    try:
        with open(f"{root()}/pyproject.toml", "rb") as file:
            table = tomllib.load(file).get("build-system")
    except FileNotFoundError:
        table = None
    if table is None:
        return LEGACY
    return {**table, "build-backend": table.get("build-backend", LEGACY["build-backend"])}


def prepared_backend():
    """The backend, imported with the source as the working directory."""
    # Backends put their own arguments behind the name of the program.
    sys.argv = ["build"]
    os.chdir(root())
    system = build_system()
    # In-tree backends come first, as PEP 517 has it; they are as hostile as any other.
    sys.path[:0] = [os.path.join(root(), path) for path in system.get("backend-path", [])]
    module, _, attribute = system["build-backend"].partition(":")
    backend = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    return backend
