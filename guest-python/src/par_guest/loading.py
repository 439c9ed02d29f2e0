"""Finds what the manifest names: `module:attribute` in the agent's package."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
import traceback as tracebacks
from collections.abc import Coroutine, Iterable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, NoReturn

#: The reasons of the WIT enum `failure.reason` that loading can end with.
Reason = Literal[
    "module-not-found",
    "attribute-not-found",
    "import-failed",
    "wrong-shape",
    "startup-failed",
]

#: From Python 3.14 on, asking for a signature evaluates annotations, which may name what is
#: only imported for type checkers. Their text is enough here.
_UNEVALUATED: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    from annotationlib import Format

    _UNEVALUATED["annotation_format"] = Format.STRING

#: How many names a message lists when none of them is close to the one asked for.
_NAMES_LISTED = 5


class LoadFailure(Exception):
    """The agent cannot be served; `message` is a sentence for whoever wrote the manifest.

    `traceback` is for the log only and empty when the agent's code did not raise.
    """

    def __init__(self, reason: Reason, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.traceback = traceback

    @classmethod
    def from_exception(cls, reason: Reason, message: str, error: BaseException) -> LoadFailure:
        """A failure caused by what the agent's code raised."""
        return cls(reason, f"{message}: {describe(error)}", format_traceback(error))


def describe(error: BaseException) -> str:
    """The exception in one line: its type, and its text when it has one."""
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be read"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def format_traceback(error: BaseException) -> str:
    """The traceback as Python prints it; never raises, whatever the exception does."""
    try:
        return "".join(tracebacks.format_exception(error))
    except Exception:
        return f"{type(error).__name__} (its traceback cannot be formatted)\n"


def use_python_path(directories: Iterable[str]) -> None:
    """Puts the directories of the agent's code first on `sys.path`, in the given order."""
    directories = list(directories)
    sys.path[:] = directories + [entry for entry in sys.path if entry not in directories]
    for directory in directories:
        # A finder that was made before the directory was mounted remembers it as empty.
        sys.path_importer_cache.pop(directory, None)


def resolve(name: str, python_path: Iterable[str] = ()) -> object:
    """The object that `module:attribute` names; the attribute may be dotted.

    `python_path` holds the directories of the agent's own code, for better messages.
    Raises [`LoadFailure`] with `module-not-found`, `import-failed` or `attribute-not-found`.
    """
    return resolve_any(name, (), python_path)[1]


def resolve_any(
    name: str, defaults: Iterable[str], python_path: Iterable[str] = ()
) -> tuple[ModuleType, object]:
    """The module and the object that `module[:attribute]` names.

    Without an attribute the first of `defaults` that the module has is taken.
    """
    module_name, _, attribute = name.partition(":")
    module = import_module(module_name, python_path)
    candidates = [attribute] if attribute else list(defaults)
    for candidate in candidates:
        found = _attribute(module, candidate)
        if found is not _MISSING:
            return module, found
    raise LoadFailure("attribute-not-found", _no_attribute(module, candidates))


def import_module(name: str, python_path: Iterable[str] = ()) -> ModuleType:
    """Imports a module of the agent, whatever its import does."""
    directories = list(python_path)
    if not all(part.isidentifier() for part in name.split(".")):
        raise LoadFailure("module-not-found", f"`{name}` is not the name of a module")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if _is_named(error, name):
            raise LoadFailure("module-not-found", _no_module(name, directories)) from None
        missing = f"module `{name}` imports `{error.name}`, which is not installed"
        if error.name is None:
            missing = f"module `{name}` cannot be imported"
        raise LoadFailure.from_exception("import-failed", missing, error) from error
    except BaseException as error:  # an agent may raise anything, SystemExit included
        raise LoadFailure.from_exception("import-failed", _import_failed(name), error) from error
    _refuse_hidden(module, name, directories)
    return module


def signature_of(function: Any) -> inspect.Signature | None:
    """The parameters of a callable; `None` when it does not show them."""
    try:
        return inspect.signature(function, **_UNEVALUATED)
    except (TypeError, ValueError):
        return None


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never really waits; there is no event loop while loading.

    Raises `WouldWaitError` when it does wait, and whatever the coroutine raises.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    coroutine.close()
    raise WouldWaitError


class WouldWaitError(RuntimeError):
    """A coroutine waited where nothing can wait."""

    def __init__(self) -> None:
        super().__init__("the coroutine waits for something where nothing can wait")


def call_at_load(function: Any, name: str, *args: object, **kwargs: object) -> Any:
    """Calls a function of the agent while it is loaded, async or not.

    Raises [`LoadFailure`] with `startup-failed` when it raises, `wrong-shape` when it waits.
    """
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = run_without_waiting(result)
    except WouldWaitError:
        raise LoadFailure(
            "wrong-shape",
            f"`{name}` waits for something while the agent is loaded; "
            "move the waiting into the lifespan or a startup function",
        ) from None
    except LoadFailure:
        raise
    except BaseException as error:
        raise LoadFailure.from_exception("startup-failed", f"`{name}` failed", error) from error
    return result


_MISSING = object()


def _attribute(module: ModuleType, dotted: str) -> object:
    found: object = module
    for part in dotted.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return _MISSING
        except BaseException as error:  # a property or a module's `__getattr__` may raise anything
            _raise_broken_attribute(module, dotted, error)
    return found


def _raise_broken_attribute(module: ModuleType, dotted: str, error: BaseException) -> NoReturn:
    message = f"`{dotted}` of module `{module.__name__}` cannot be read"
    raise LoadFailure.from_exception("import-failed", message, error) from error


def _is_named(error: ModuleNotFoundError, name: str) -> bool:
    """Whether the missing module is the one asked for, not something it imports."""
    if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
        return False
    return not _ran_agent_code(error.__traceback__)


def _ran_agent_code(trace: TracebackType | None) -> bool:
    ours = {import_module.__code__.co_filename, importlib.import_module.__code__.co_filename}
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file not in ours and not file.startswith("<frozen importlib"):
            return True
        trace = trace.tb_next
    return False


def _import_failed(name: str) -> str:
    return f"module `{name}` failed while it was imported"


def _no_module(name: str, directories: list[str]) -> str:
    message = f"`{name}` is not a module of the package"
    parent, _, last = name.rpartition(".")
    folders = [str(Path(directory, *parent.split("."))) for directory in directories]
    if not parent:
        folders = directories
    names = [found.name for found in pkgutil.iter_modules(folders)]
    close = _closest(last, names)
    if close:
        suggestion = f"{parent}.{close}" if parent else close
        message += f"; did you mean `{suggestion}`?"
    return message


def _no_attribute(module: ModuleType, candidates: list[str]) -> str:
    wanted = " or ".join(f"`{candidate}`" for candidate in candidates)
    message = f"module `{module.__name__}` has no attribute {wanted}"
    public = [name for name in vars(module) if not name.startswith("_")]
    own = [name for name in public if _defined_in(module, name)]
    for candidate in candidates:
        close = _closest(candidate, public)
        if close:
            return f"{message}; it has `{close}`"
    if own:
        listed = ", ".join(f"`{name}`" for name in own[:_NAMES_LISTED])
        return f"{message}; it defines {listed}"
    return f"{message}; it defines no function or class"


def _closest(wanted: str, names: list[str]) -> str | None:
    """The name that was probably meant: an extension of it, or a misspelling."""
    extended = [name for name in names if wanted and wanted in name]
    close = extended or difflib.get_close_matches(wanted, names, n=1)
    return close[0] if close else None


def _defined_in(module: ModuleType, name: str) -> bool:
    found = vars(module)[name]
    return callable(found) and getattr(found, "__module__", None) == module.__name__


def _refuse_hidden(module: ModuleType, name: str, directories: list[str]) -> None:
    """A module of the package that hides behind one of the platform's would load silently."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    top = name.partition(".")[0]
    for directory in directories:
        own = [Path(directory, f"{top}.py"), Path(directory, top, "__init__.py")]
        if origin is not None and Path(directory) in Path(origin).parents:
            return
        if any(path.is_file() for path in own):
            raise LoadFailure(
                "module-not-found",
                f"`{top}` of the package cannot be imported, because a module of the platform "
                "has the same name; rename it",
            )
