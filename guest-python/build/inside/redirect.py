"""Imports the platform libraries as if they already were where they will be at run time.

At build time componentize-py mounts them at a number (`/1`), at run time they are at
`/platform`. A module remembers where it came from (`__file__`, `__path__`, the file names in
its code), uses that to find its submodules and resources, and shows it in tracebacks. So
the finder here reads from the one path and says the other.

An extension module is different: it was linked into the component under a name of its own, and
is found under that name for as long as the component lives. The file in its place says the name.
"""

import importlib
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.metadata import DistributionFinder, MetadataPathFinder

BUILD = "/1"
RUNTIME = "/platform"
STANDARD = "/python"
MARK = b"linked into the guest as "
"""How the file begins that stands where an extension would be; `extensions/linked.py` writes it."""

LONGEST_NAME = 4096

_building = True


def at_build(path: str) -> str:
    """Where the file that will be at `path` is now."""
    return BUILD + path.removeprefix(RUNTIME)


def at_run_time(path: str) -> str:
    """Where the file that is at `path` now will be."""
    return RUNTIME + path.removeprefix(BUILD) if path.startswith(f"{BUILD}/") else path


class RedirectedSource(SourceFileLoader):
    """Reads source and bytecode from where they are while the guest is built."""

    def get_data(self, path):
        return super().get_data(at_build(path))

    def path_stats(self, path):
        return super().path_stats(at_build(path))


class LinkedExtension(ExtensionFileLoader):
    """Loads an extension module by the name it was linked under, now and at run time."""

    def create_module(self, spec):
        place = spec.origin
        spec.origin = _linked_name(spec.name, place)
        try:
            module = super().create_module(spec)
        finally:
            spec.origin = place
        module.__file__ = place
        return module


def _linked_name(module, place):
    with open(at_build(place) if _building else place, "rb") as file:
        text = file.read(LONGEST_NAME)
    if not text.startswith(MARK):
        message = f"`{place}` is native code, and was not linked into the guest of this release"
        raise ImportError(message, name=module, path=place)
    return text.removeprefix(MARK).decode().strip()


class RedirectedFinder:
    """Finds in a directory below `BUILD` what says it is below `RUNTIME`."""

    def __init__(self, path):
        if path != RUNTIME and not path.startswith(f"{RUNTIME}/"):
            raise ImportError(f"not below {RUNTIME}", path=path)
        self._finder = FileFinder(
            at_build(path),
            (LinkedExtension, EXTENSION_SUFFIXES),
            (RedirectedSource, SOURCE_SUFFIXES),
        )

    def find_spec(self, fullname, target=None):
        spec = self._finder.find_spec(fullname, target)
        if spec is None:
            return None
        if spec.origin is not None:
            spec.origin = spec.loader.path = at_run_time(spec.origin)
            spec.cached = at_run_time(spec.cached) if spec.cached else None
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations = [
                at_run_time(path) for path in spec.submodule_search_locations
            ]
        return spec

    def invalidate_caches(self):
        self._finder.invalidate_caches()


class RedirectedDistributions:
    """Lets libraries ask for versions and entry points while they are imported."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        return None

    @staticmethod
    def find_distributions(context=None):
        context = context or DistributionFinder.Context()
        found = DistributionFinder.Context(name=context.name, path=[BUILD])
        return MetadataPathFinder.find_distributions(found)


def start():
    """Makes `RUNTIME` importable."""
    sys.path_hooks.insert(0, RedirectedFinder)
    sys.meta_path.append(RedirectedDistributions)
    sys.path[:] = [*(path for path in sys.path if path != BUILD), RUNTIME]
    PathFinder.invalidate_caches()
    # Stand-ins that the standard library asked for before this, as `shutil` asks for `pwd`.
    for module in list(sys.modules.values()):
        if _mentions_build(module):
            importlib.reload(module)


def finish():
    """Leaves the import system as it has to be at run time."""
    global _building
    _building = False
    sys.path[:] = [STANDARD, RUNTIME]
    sys.path_hooks.remove(RedirectedFinder)
    sys.meta_path.remove(RedirectedDistributions)
    sys.path_hooks.insert(0, _run_time_hook)
    sys.path_importer_cache.clear()
    for module in list(sys.modules.values()):
        loader = getattr(module, "__loader__", None)
        if type(loader) is RedirectedSource:
            loader.__class__ = SourceFileLoader
    _correct_frozen_modules()
    leaked = sorted(name for name, module in sys.modules.items() if _mentions_build(module))
    if leaked:
        raise RuntimeError(f"modules that remember where they were built: {', '.join(leaked)}")


def _correct_frozen_modules():
    """Lets the modules built into the interpreter know where their source really is.

    Python takes it that the standard library is in `lib/python3.14` of its home, and
    componentize-py mounts it as the home itself.
    """
    assumed, sys._stdlib_dir = sys._stdlib_dir, STANDARD
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(f"{assumed}/"):
            module.__file__ = STANDARD + file.removeprefix(assumed)
        if isinstance(path := getattr(module, "__path__", None), list):
            path[:] = [
                STANDARD + entry.removeprefix(assumed) if entry.startswith(f"{assumed}/") else entry
                for entry in path
            ]


# The usual hook, except that extensions are loaded by the names they were linked under.
_run_time_hook = FileFinder.path_hook(
    (LinkedExtension, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def _mentions_build(module) -> bool:
    spec = getattr(module, "__spec__", None)
    places = [
        getattr(module, "__file__", None),
        getattr(module, "__cached__", None),
        getattr(spec, "origin", None),
        getattr(spec, "cached", None),
        getattr(getattr(module, "__loader__", None), "path", None),
        *(getattr(module, "__path__", None) or []),
    ]
    return any(isinstance(place, str) and place.startswith(f"{BUILD}/") for place in places)
