"""The C headers of the guest's CPython.

Debian has the headers of the same series; only `pyconfig.h` differs from platform to platform. It
is written from what the guest's own CPython remembers of its configuration, and the
compiler confirms the sizes in it.
"""

import json
import os
import re
import shutil
from pathlib import Path

from build.cache import entry
from build.errors import BuildError
from build.interpreter import PYTHON_VERSION, interpreter, interpreter_key
from build.key import Inputs
from build.run import run
from extensions.c_compiler import CCompiler
from extensions.debian import unpack_from_suite

SUITE = "forky"
"""The first release of Debian with this CPython."""

PACKAGE = f"libpython{PYTHON_VERSION}-dev"

SERIES = re.compile(rf'#define\s+PY_VERSION\s+"{re.escape(PYTHON_VERSION)}\.')

DEFINITION = re.compile(r"\s*#\s*define\s+(\w+)(?:\s|$)|/\*\s*#undef\s+(\w+)\s*\*/")

NUMBERS = ("ALIGNOF_", "HAVE_DECL_", "PY_", "SIZEOF_")
"""Names that are defined also when they are 0."""

TYPES = {
    "SIZEOF_DOUBLE": "double",
    "SIZEOF_FLOAT": "float",
    "SIZEOF_INT": "int",
    "SIZEOF_LONG": "long",
    "SIZEOF_LONG_DOUBLE": "long double",
    "SIZEOF_LONG_LONG": "long long",
    "SIZEOF_OFF_T": "off_t",
    "SIZEOF_PID_T": "pid_t",
    "SIZEOF_SHORT": "short",
    "SIZEOF_SIZE_T": "size_t",
    "SIZEOF_TIME_T": "time_t",
    "SIZEOF_UINTPTR_T": "uintptr_t",
    "SIZEOF_VOID_P": "void *",
    "SIZEOF_WCHAR_T": "wchar_t",
}


def headers_key(compiler: Path) -> str:
    """The content address of the headers; `compiler` is the source that decides about that."""
    here = Path(__file__)
    return (
        Inputs("headers")
        .value("interpreter", interpreter_key())
        .files(here, here.with_name("debian.py"), compiler)
        .key()
    )


def headers(c_compiler: CCompiler) -> Path:
    """A directory with `Python.h` and what it includes, and `packages.json`."""

    def make(directory: Path) -> None:
        work = directory / "work"
        work.mkdir()
        version = unpack_from_suite(PACKAGE, SUITE, work / "root", work)
        (directory / "packages.json").write_text(json.dumps({PACKAGE: version}) + "\n")
        found = work / f"root/usr/include/python{PYTHON_VERSION}"
        shutil.copytree(found, directory / "include")
        if not SERIES.search((directory / "include/patchlevel.h").read_text()):
            raise BuildError(f"`{PACKAGE}` {version} does not hold headers of {PYTHON_VERSION}")
        (template,) = (work / "root/usr/include").glob(f"*-linux-gnu*/python{PYTHON_VERSION}")
        configured = _configuration((template / "pyconfig.h").read_text(), _configured_values())
        (directory / "include/pyconfig.h").write_text(configured)
        _confirm(c_compiler, directory / "include", work)
        shutil.rmtree(work)

    key = headers_key(Path(__file__).with_name("c_compiler.py"))
    return entry("headers", key, make, "the headers of Python")


def _configured_values() -> dict[str, object]:
    (file,) = (interpreter() / "python").glob("_sysconfig_vars__*.json")
    return json.loads(file.read_text())


def _configuration(template: str, values: dict[str, object]) -> str:
    """`template` with the values the guest was configured with."""
    lines = []
    for line in template.splitlines():
        found = DEFINITION.match(line)
        name = found and (found[1] or found[2])
        if name not in values:
            lines.append(line)
        elif values[name] == 0 and not name.startswith(NUMBERS):
            lines.append(f"/* #undef {name} */")
        else:
            lines.append(f"#define {name} {values[name]}")
    return "\n".join(lines) + "\n"


def _confirm(c_compiler: CCompiler, include: Path, work: Path) -> None:
    """Compiles a file that only compiles when every size is right."""
    text = "#include <Python.h>\n#include <stdint.h>\n#include <sys/types.h>\n#include <time.h>\n"
    for name, spelt in TYPES.items():
        text += f'_Static_assert(sizeof({spelt}) == {name}, "{name}");\n'
    file = work / "confirm.c"
    file.write_text(text)
    run(
        [c_compiler.cc, "-c", f"-I{include}", file, "-o", work / "confirm.o"],
        what="confirm the configuration of the guest's Python",
        # Where the compiler keeps its files; it may not be a place others share.
        env={**os.environ, "TMPDIR": str(work)},
    )
