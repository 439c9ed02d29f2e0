"""The application componentize-py imports: brings everything into memory, then is `par_guest`.

What this module leaves in memory is what every instance of the guest starts with.
"""

import gc
import importlib
import json
import os
import platform
import sys
import time

import bytecode
import redirect

# The directory `/0` is this module's; `/1` becomes `/platform`; `/2` takes the report.
PREIMPORT = "/0/preimport.txt"
REPORT = "/2/report.json"


def listed_modules() -> list[str]:
    """The names in `preimport.txt`."""
    with open(PREIMPORT) as file:
        lines = [line.partition("#")[0].strip() for line in file]
    return [line for line in lines if line]


def modules_below(directory: str, package: str) -> list[str]:
    """The names of all modules of `package`, whose folder is in `directory`."""
    names = []
    for folder, folders, files in os.walk(f"{directory}/{package}"):
        folders[:] = [name for name in folders if name != "__pycache__"]
        parent = folder.removeprefix(f"{directory}/").replace("/", ".")
        names += [
            parent if name == "__init__.py" else f"{parent}.{name.removesuffix('.py')}"
            for name in files
            if name.endswith(".py")
        ]
    return sorted(names)


def import_all(names: list[str]) -> None:
    """Imports every module, and names all those that failed."""
    failures = []
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:  # whatever it is, the list must be complete
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        raise ImportError("cannot import into the guest:\n    " + "\n    ".join(failures))


def prove_native_extensions() -> None:
    """Fails the build unless pydantic validates through its native core."""
    import pydantic

    class Reading(pydantic.BaseModel):
        place: str = pydantic.Field(min_length=1)
        degrees: list[float]

    reading = Reading.model_validate_json('{"place": "Łódź", "degrees": ["1.5", 2]}')
    if reading.model_dump_json() != '{"place":"Łódź","degrees":[1.5,2.0]}':
        raise RuntimeError(f"pydantic-core answered {reading.model_dump_json()}")
    try:
        Reading.model_validate({"place": "", "degrees": "x"})
    except pydantic.ValidationError as error:
        kinds = [detail["type"] for detail in error.errors()]
        if kinds != ["string_too_short", "list_type"]:
            raise RuntimeError(f"pydantic-core found {kinds}") from error
    else:
        raise RuntimeError("pydantic-core accepted a value that is not valid")


def write_report(seconds: float) -> None:
    """Tells the build program what it cannot know from outside."""
    with open(REPORT, "w") as file:
        json.dump(
            {
                "python": platform.python_version(),
                "preimported_modules": len(sys.modules),
                "preimport_seconds": round(seconds, 1),
            },
            file,
        )


started = time.monotonic()
bytecode.compile_tree(redirect.BUILD, redirect.RUNTIME)
redirect.start()
# From here on CPython's small blocks come from it, so before everything that stays in memory.
importlib.import_module("_par_allocator")
# Generated modules that are not imported now do not exist at run time.
import_all(modules_below("/world", "wit_world"))
import_all(listed_modules())
import_all(modules_below(redirect.BUILD, "par_guest"))
prove_native_extensions()
world = importlib.import_module("par_guest.world")
globals().update((name, value) for name, value in vars(world).items() if not name.startswith("_"))
redirect.finish()
write_report(time.monotonic() - started)
importlib.invalidate_caches()
sys.modules.pop("bytecode")
# All of this lives as long as the guest: the collector need never look at it again.
gc.collect()
gc.freeze()
