"""How wheels of extensions are made ready for the guest, without a compiler."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

# Only for these imports: other tests import an agent's `src`, which is a name here too.
PROGRAMS = str(Path(__file__).resolve().parents[1])
sys.path.append(PROGRAMS)

from build.errors import BuildError  # noqa: E402
from extensions.c import MISFIT, _edit  # noqa: E402
from extensions.headers import _configuration  # noqa: E402
from extensions.index import write_index  # noqa: E402
from extensions.linked import place, without_library  # noqa: E402
from extensions.table import CExtension, read_table  # noqa: E402
from extensions.wheel import write_wheel  # noqa: E402
from extensions.wheels import Built  # noqa: E402

sys.path.remove(PROGRAMS)

TABLE = """
[toolchain]
rust = "1.96"
llvm = "22"

[[extension]]
name = "Thing.Fast"
version = "1.0"
sha256 = "{digest}"
kind = "c"
sources = ["fast.c"]
define = []
module = "thing._fast"
package = "thing"
opt-level = "2"
"""


@pytest.fixture
def extension(tmp_path: Path) -> CExtension:
    table = tmp_path / "extensions.toml"
    table.write_text(TABLE.format(digest="0" * 64))
    (only,) = read_table(table)[1]
    return only


@pytest.fixture
def built(tmp_path: Path, extension: CExtension) -> Built:
    source = tmp_path / "source"
    (source / "thing").mkdir(parents=True)
    (source / "thing/__init__.py").write_text("from thing._fast import answer\n")
    (source / "thing/fast.c").write_text("")
    (source / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: thing.fast\nVersion: 1.0\nRequires-Dist: other\n"
    )
    return Built(extension, write_wheel(extension, source, b"\0asm library", {}, tmp_path))


LIBRARY = "thing/_fast.cpython-314-wasm32-wasi.so"


def test_a_table_that_is_not_right_says_where(tmp_path: Path) -> None:
    table = tmp_path / "extensions.toml"
    cases = {
        'kind = "c"': ('kind = "go"', "Thing.Fast: unknown kind `go`"),
        "define = []": ("", "Thing.Fast: missing key `define`"),
        'sources = ["fast.c"]': ('sources = "fast.c"', "Thing.Fast: `sources` is not a list"),
        'opt-level = "2"': ('opt-level = "9"', "Thing.Fast: unknown opt-level `9`"),
        "{digest}": ("0", "Thing.Fast: sha256 is not 64 hexadecimal digits"),
    }
    for right, (wrong, expected) in cases.items():
        table.write_text(TABLE.replace(right, wrong).replace("{digest}", "0" * 64))
        with pytest.raises(BuildError) as error:
            read_table(table)
        assert str(error.value) == f"extensions.toml: {expected}"


@pytest.mark.parametrize(("unoptimized", "at"), [(False, "/3"), (True, "/4")])
def test_the_library_is_placed_under_the_name_its_wheel_says(
    built: Built, tmp_path: Path, unoptimized: bool, at: str
) -> None:
    built = replace(built, extension=replace(built.extension, unoptimized=unoptimized))
    places = {"/3": tmp_path / "native", "/4": tmp_path / "added"}
    place(built, tmp_path / "native", tmp_path / "added")
    with zipfile.ZipFile(BytesIO(without_library(built))) as wheel:
        said = wheel.read(LIBRARY).decode()
        record = wheel.read("thing_fast-1.0.dist-info/RECORD").decode()
        names = wheel.namelist()

    assert said == f"linked into the guest as {at}/thing_fast-1.0/{LIBRARY}\n"
    placed = places.pop(at) / said.split(f"{at}/")[1].strip()
    assert placed.read_bytes() == b"\0asm library"
    assert not any(other.exists() for other in places.values())
    assert "thing/__init__.py" in names
    assert "thing/fast.c" not in names
    assert record.count(LIBRARY) == 1
    assert f"{LIBRARY},sha256=" in record


def test_the_index_offers_metadata_and_nothing_else(built: Built, tmp_path: Path) -> None:
    write_index([built], tmp_path / "index")

    project = tmp_path / "index/thing-fast"
    page = (project / "index.html").read_text()
    assert page.startswith('<a href="thing_fast-1.0-py3-none-any.whl#sha256=')
    with zipfile.ZipFile(project / "thing_fast-1.0-py3-none-any.whl") as wheel:
        assert "Requires-Dist: other" in wheel.read("thing_fast-1.0.dist-info/METADATA").decode()
        assert all(name.startswith("thing_fast-1.0.dist-info/") for name in wheel.namelist())


def test_pyconfig_has_the_values_of_the_guest_and_keeps_what_is_the_same_everywhere() -> None:
    template = (
        "#define SIZEOF_LONG 8\n/* #undef HAVE_DUP */\n#define HAVE_FORK 1\n"
        "#define PY_SUPPORT_TIER 1\n# define _GNU_SOURCE 1\n#endif\n"
    )
    values = {"SIZEOF_LONG": 4, "HAVE_DUP": 1, "HAVE_FORK": 0, "PY_SUPPORT_TIER": 0}

    assert _configuration(template, values) == (
        "#define SIZEOF_LONG 4\n#define HAVE_DUP 1\n/* #undef HAVE_FORK */\n"
        "#define PY_SUPPORT_TIER 0\n# define _GNU_SOURCE 1\n#endif\n"
    )


def test_only_functions_python_would_call_with_too_much_are_misfits() -> None:
    said = "x.c:1:2: warning: cast from '{}' (aka '...') to '{}' (aka '...') converts to ..."
    wrong = said.format("PyObject *(*)(MatchObject *)", "PyCFunction")
    keywords = said.format("PyObject *(*)(PyObject *, PyObject *, PyObject *)", "PyCFunction")
    other = said.format("int (*)(PyObject *)", "destructor")

    assert MISFIT.search(wrong)
    assert MISFIT.search(said.format("PyObject *(*)(PyObject *)", "getter"))
    assert not MISFIT.search(keywords)
    assert not MISFIT.search(other)


def test_an_edit_needs_exactly_one_place(extension: CExtension, tmp_path: Path) -> None:
    source = tmp_path / "fast.c"
    extension.edits.append(["f(A* a) {", "f(A* a, void* b) {"])
    source.write_text("f(A* a) { }\n")
    _edit(extension, tmp_path)
    assert source.read_text() == "f(A* a, void* b) { }\n"

    for text in ("", "f(A* a) { } f(A* a) { }"):
        source.write_text(text)
        with pytest.raises(BuildError, match="has not exactly one"):
            _edit(extension, tmp_path)
