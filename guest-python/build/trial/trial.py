"""An agent that asks the finished guest for what pre-initialisation alone cannot show.

`par-try-guest` runs it in the engine, on the guest as it will be published. It answers only
if all this holds at run time, with the directories mounted where agents find them.
"""

import importlib
import importlib.metadata
import inspect
import sys
from pathlib import Path

import pydantic
import pydantic_core
from fastapi import FastAPI

LATE = ("starlette.schemas", "pydantic.v1.color", "wave")
"""Modules that `preimport.txt` leaves out."""


class Reading(pydantic.BaseModel):
    """One value through the native core, in and out."""

    place: str = pydantic.Field(min_length=1)
    degrees: list[float]


def check(condition: bool, what: str) -> None:
    """Fails the trial with a sentence."""
    if not condition:
        raise AssertionError(f"the guest is not what it should be: {what}")


def check_paths() -> None:
    """Modules know where they are now, not where they were when the guest was built."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.startswith(("/python/", "/platform/")):
            check(Path(file).is_file(), f"`{module.__name__}` says it is `{file}`")
    check("class BaseModel" in inspect.getsource(pydantic.main), "tracebacks find no source lines")


def check_late_imports() -> None:
    """What was not imported when the guest was built can be imported now, compiled."""
    for name in LATE:
        check(name not in sys.modules, f"`{name}` is meant to be imported late")
        cached = importlib.import_module(name).__spec__.cached
        check(Path(cached).is_file(), f"`{name}` was not compiled: no `{cached}`")


def check_native_core() -> None:
    """pydantic validates through its extension, and the versions belong together."""
    reading = Reading.model_validate_json('{"place": "Łódź", "degrees": ["1.5", 2]}')
    check(reading.degrees == [1.5, 2.0], f"pydantic read {reading!r}")
    version = importlib.metadata.version("pydantic-core")
    check(version == pydantic_core.__version__, f"pydantic-core says {version}")


check_paths()
check_late_imports()
check_native_core()

app = FastAPI()


@app.get("/")
def root() -> Reading:
    """Answers with a model, so that serialisation is part of the trial."""
    return Reading(place="guest", degrees=[1])
