"""Reads `extensions.toml` into types that cannot be wrong."""

import re
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from build.errors import BuildError
from build.paths import GUEST_PYTHON

TABLE = GUEST_PYTHON / "extensions/extensions.toml"
KINDS = {"rust"}
OPT_LEVELS = {"0", "1", "2", "3", "s", "z"}


@dataclass(frozen=True)
class ToolchainVersions:
    """Which major versions of the compilers build every extension."""

    rust: str
    llvm: str


@dataclass(frozen=True)
class Extension:
    """One native extension and how it is built; `extensions.toml` explains each field."""

    name: str
    version: str
    sha256: str
    kind: str
    crate: str
    library: str
    module: str
    package: str
    opt_level: str

    @property
    def distribution(self) -> str:
        """The name as files of the distribution spell it."""
        return re.sub(r"[-_.]+", "_", self.name).lower()

    def as_input(self) -> dict[str, str]:
        """What of it goes into the cache key: all of it."""
        return asdict(self)


def read_table(path: Path = TABLE) -> tuple[ToolchainVersions, list[Extension]]:
    """Reads and checks the table."""
    raw = tomllib.loads(path.read_text())
    toolchain = _typed(ToolchainVersions, raw.get("toolchain", {}), f"{path.name}: [toolchain]")
    extensions = [
        _typed(Extension, {"name": name, **entry}, f"{path.name}: [extension.{name}]")
        for name, entry in raw.get("extension", {}).items()
    ]
    for extension in extensions:
        where = f"{path.name}: [extension.{extension.name}]"
        if extension.kind not in KINDS:
            raise BuildError(f"{where}: unknown kind `{extension.kind}`")
        if extension.opt_level not in OPT_LEVELS:
            raise BuildError(f"{where}: unknown opt-level `{extension.opt_level}`")
        if not re.fullmatch("[0-9a-f]{64}", extension.sha256):
            raise BuildError(f"{where}: sha256 is not 64 hexadecimal digits")
    return toolchain, extensions


def _typed(kind: type, raw: dict[str, object], where: str):
    values = {key.replace("-", "_"): value for key, value in raw.items()}
    expected = {field.name for field in fields(kind)}
    if unknown := values.keys() - expected:
        raise BuildError(f"{where}: unknown key `{min(unknown)}`")
    if missing := expected - values.keys():
        raise BuildError(f"{where}: missing key `{min(missing)}`")
    for key, value in values.items():
        if not isinstance(value, str):
            raise BuildError(f"{where}: `{key}` is not a string")
    return kind(**values)
