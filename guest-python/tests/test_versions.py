"""What an agent brings wins over what was imported when the guest was built."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from par_guest import versions


def install(directory: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
    module = name.replace("-", "_")
    (directory / module).mkdir(parents=True)
    (directory / module / "__init__.py").write_text(f"VERSION = {version!r}\n")
    information = directory / f"{module}-{version}.dist-info"
    information.mkdir()
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}"
    )
    (information / "RECORD").write_text(
        f"{module}/__init__.py,,\n{information.name}/METADATA,,\n{information.name}/RECORD,,\n"
    )


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A guest that carries a base, a framework on top of it, and something else; all imported."""
    platform = tmp_path / "platform"
    install(platform, "par-base", "2.0")
    install(platform, "par-framework", "1.0", ("par_base[extra] >=1; python_version > '3'",))
    install(platform, "par-tool", "1.0", ("par-framework~=1.0 ; extra == 'all'",))
    install(platform, "par-other", "1.0")
    monkeypatch.setattr(versions, "_carried", versions._Carried())
    monkeypatch.syspath_prepend(str(platform))
    versions.remember([str(platform)])
    known = set(sys.modules)
    for name in ("par_base", "par_framework", "par_tool", "par_other"):
        __import__(name)
    yield platform
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.usefixtures("platform")
def test_a_brought_distribution_and_all_that_uses_it_are_imported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = tmp_path / "layer"
    install(layer, "par-base", "1.5")
    other = sys.modules["par_other"]
    monkeypatch.syspath_prepend(str(layer))

    gone = versions.make_way(str(layer))

    assert gone == {"par-base", "par-framework", "par-tool"}
    assert "par_framework" not in sys.modules
    assert sys.modules["par_other"] is other
    assert __import__("par_base").VERSION == "1.5"
    assert __import__("par_framework").VERSION == "1.0"


@pytest.mark.usefixtures("platform")
def test_what_the_guest_does_not_carry_leaves_everything_in_place(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    install(layer, "par-new", "1.0")
    before = sys.modules["par_base"]

    assert versions.make_way(str(layer)) == set()
    assert versions.make_way(str(tmp_path / "absent")) == set()

    assert sys.modules["par_base"] is before
