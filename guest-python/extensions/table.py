"""Reads `extensions.toml` into types that cannot be wrong."""

import re
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from build.errors import BuildError
from build.paths import GUEST_PYTHON

TABLE = GUEST_PYTHON / "extensions/extensions.toml"
LOCKS = GUEST_PYTHON / "extensions/locks"
LATER = {"features", "include", "lock", "more_packages", "unstable"}
"""Keys that were added later: where they are not used, wheels that are there stay good."""

OPTIONAL = {"carried", "edits", "fallback", "unoptimized", *LATER}
OPT_LEVELS = {"0", "1", "2", "3", "s", "z"}


@dataclass(frozen=True)
class ToolchainVersions:
    """Which major versions of the compilers build every extension."""

    rust: str
    llvm: str


@dataclass(frozen=True, kw_only=True)
class Extension:
    """One native extension; `extensions.toml` explains each field."""

    name: str
    version: str
    sha256: str
    module: str
    package: str
    opt_level: str
    more_packages: list[str] = field(default_factory=list)
    carried: bool = False
    fallback: bool = False
    unoptimized: bool = False

    @property
    def distribution(self) -> str:
        """The name as files of the distribution spell it."""
        return re.sub(r"[-_.]+", "_", self.name).lower()

    def as_input(self) -> dict[str, object]:
        """What of it goes into the cache key: all but where the wheel is used."""
        values = asdict(self)
        del values["carried"], values["fallback"], values["unoptimized"]
        if lock := values.get("lock"):
            values["lock"] = (LOCKS / str(lock)).read_text()
        return {key: value for key, value in values.items() if value or key not in LATER}


@dataclass(frozen=True, kw_only=True)
class RustExtension(Extension):
    """An extension of a Cargo workspace."""

    crate: str
    library: str
    features: list[str] = field(default_factory=list)
    lock: str = ""
    unstable: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CExtension(Extension):
    """An extension of C files."""

    sources: list[str]
    define: list[str]
    include: list[str] = field(default_factory=list)
    edits: list[list[str]] = field(default_factory=list)


KINDS: dict[str, type[Extension]] = {"rust": RustExtension, "c": CExtension}


def read_table(path: Path = TABLE) -> tuple[ToolchainVersions, list[Extension]]:
    """Reads and checks the table."""
    raw = tomllib.loads(path.read_text())
    toolchain = _typed(ToolchainVersions, raw.get("toolchain", {}), f"{path.name}: [toolchain]")
    extensions = [_extension(entry, path) for entry in raw.get("extension", [])]
    names = [(one.name, one.version) for one in extensions]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BuildError(f"{path.name}: {' '.join(min(twice))} is there twice")
    return toolchain, extensions


def _extension(raw: dict[str, object], path: Path) -> Extension:
    where = f"{path.name}: {raw.get('name', 'an extension without `name`')}"
    kind = KINDS.get(str(raw.get("kind")))
    if kind is None:
        raise BuildError(f"{where}: unknown kind `{raw.get('kind')}`")
    extension = _typed(kind, {key: value for key, value in raw.items() if key != "kind"}, where)
    if extension.opt_level not in OPT_LEVELS:
        raise BuildError(f"{where}: unknown opt-level `{extension.opt_level}`")
    if not re.fullmatch("[0-9a-f]{64}", extension.sha256):
        raise BuildError(f"{where}: sha256 is not 64 hexadecimal digits")
    return extension


def _typed(kind: type, raw: dict[str, object], where: str):
    values = {key.replace("-", "_"): value for key, value in raw.items()}
    expected = {known.name: known for known in fields(kind)}
    if unknown := values.keys() - expected.keys():
        raise BuildError(f"{where}: unknown key `{min(unknown)}`")
    if missing := expected.keys() - values.keys() - OPTIONAL:
        raise BuildError(f"{where}: missing key `{min(missing)}`")
    for key, value in values.items():
        wanted = getattr(expected[key].type, "__origin__", expected[key].type)
        if not isinstance(value, wanted):
            raise BuildError(f"{where}: `{key}` is not a {wanted.__name__}")
    return kind(**values)
