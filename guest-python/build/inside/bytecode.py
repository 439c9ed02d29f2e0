"""Compiles Python files to `.pyc` with the guest's own CPython.

The files are trusted by their hash (PEP 552, unchecked): the directories they are mounted
from are read-only at run time, and comparing times would cost two `stat` calls a module.
"""

import importlib.util
import os
from importlib._bootstrap_external import _code_to_hash_pyc


def compile_tree(directory: str, mounted_at: str) -> int:
    """Compiles what below `directory` has no `.pyc` yet; returns how many files that were.

    `mounted_at` is where `directory` is found at run time: tracebacks name that path.
    """
    compiled = 0
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            if name.endswith(".py"):
                source = f"{folder}/{name}"
                runtime = mounted_at + source.removeprefix(directory)
                compiled += _compile_file(source, runtime)
    return compiled


def _compile_file(source: str, runtime: str) -> bool:
    target = importlib.util.cache_from_source(source)
    if os.path.exists(target):
        return False
    with open(source, "rb") as file:
        text = file.read()
    code = compile(text, runtime, "exec", dont_inherit=True)
    digest = importlib.util.source_hash(text)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:  # buffered: one `write` of WASI may write less than asked
        file.write(_code_to_hash_pyc(code, digest, checked=False))
    return True
