"""An agent with numpy: outside the sandbox where there is a CPython, refused where there is none."""

import hashlib
import json
import sys

import image

from image_test.container import environment, get
from image_test.promises.starting import surfaces_answer
from image_test.saying import check, said
from image_test.tests import Tests

MAIN = """
import os
import numpy

def mount(router):
    @router.get('/api/sum')
    async def total(n: int):
        return {'sum': int(numpy.arange(n).sum()), 'user': os.getuid()}

def create_service():
    async def dot(parameters):
        return 'x'
    return {'custom_handlers': {'dot': dot}}
"""

MANIFEST = """
name: numbers
version: "1.0"
description: x
rest:
  entry: main:mount
a2a:
  service: main:create_service
ui:
  path: ui
"""


def numbers(tests: Tests, name: str, requirements: str) -> list[str]:
    """The agent, with what it requires."""
    files = {
        "agent.yaml": MANIFEST,
        "main.py": MAIN,
        "requirements.txt": requirements,
        "ui/index.html": "<html><h1>numbers</h1></html>",
    }
    return tests.of(tests.package(name, files))


def wheelhouse(tests: Tests) -> list[str]:
    """A directory with the wheels, from the package index, for the Python of the full image and that of the sandbox."""
    directory = tests.place / "wheelhouse"
    if not directory.exists():
        for python, wheels in [("3.11", ["numpy<2.4", "fastapi"]), ("3.14", ["numpy<2.4"])]:
            platforms = ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64"]
            options = [f"--platform={platform}" for platform in platforms]
            options += ["--only-binary=:all:", f"--python-version={python}", "--quiet"]
            said(sys.executable, "-m", "pip", "download", *options, f"--dest={directory}", *wheels)
        directory.chmod(0o755)
    options = environment(WHEELHOUSE_DIR="/wheelhouse", WHEELHOUSE_OFFLINE="1")
    return [f"--volume={directory}:/wheelhouse:ro", *options]


def numpy_is_refused(tests: Tests) -> None:
    """R066: the hardened image has nothing to run numpy with; it names numpy and the way out."""
    manifest = 'name: needy\nversion: "1.0"\ndescription: x\nhttp_server: main:app\n'
    files = {"agent.yaml": manifest, "main.py": "import numpy\napp = None\n"}
    code, log = tests.refused(*tests.of(tests.package("undeclared", files)))
    check(code == 14 and "numpy" in log and "Runtime ready" not in log, f"exit {code}\n{log}")
    # Nothing was locked, and there is no resolver that could say what numpy is.
    code, log = tests.refused(*numbers(tests, "needy", "numpy\n"))
    says(18, "is needed to install `numpy` and was not found", "`par lock`", code, log)
    # Locked, its wheel tells.
    wheels = wheelhouse(tests)
    files = sorted((tests.place / "wheelhouse").glob("numpy-*.whl"))
    version = files[0].name.split("-")[1]
    hashes = [f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    locked = f"numpy=={version} {' '.join(hashes)}\n"
    code, log = tests.refused(*numbers(tests, "locked", locked), *wheels)
    sentence = (
        f"agent `numbers` needs `numpy=={version}`, which has no wheel that runs in the sandbox"
    )
    says(13, sentence, "outside the sandbox", code, log)


def says(wanted: int, sentence: str, way_out: str, code: int, log: str) -> None:
    """Whether a refusal has its code, its sentence and its hint."""
    failed = [line for line in log.splitlines() if '"Boot failed"' in line]
    check(code == wanted and failed, f"exit {code} and not {wanted}\n{log}")
    details = json.loads(failed[0])
    check(sentence in json.dumps(details, ensure_ascii=False), f"no `{sentence}` in\n{log}")
    check(way_out in failed[0], f"no `{way_out}` in\n{log}")
    check("Runtime ready" not in log, log)


def a_native_agent_runs_in_the_full_image(tests: Tests) -> None:
    """R203, R205, R066: in the full image, read-only, without privileges, an agent with numpy serves three surfaces on CPython, confined."""
    package = [*numbers(tests, "numbers", "numpy\n"), *wheelhouse(tests)]
    with tests.running(*package, of=tests.full) as container:
        container.ready()
        surfaces_answer(container, "native")
        status, body = get(container.url("/agents/app-1/api/sum?n=100"))
        check(status == 200 and json.loads(body) == {"sum": 4950, "user": 10001}, f"{body!r}")
        check(container.events("Process of the agent confined"), container.log())
        check(container.stop() == 0, container.log())
    # What runs in the sandbox stays there.
    with tests.running(*tests.of(tests.example), of=tests.full) as container:
        surfaces_answer(container.ready(), "sandbox")
    template = "--format={{.Config.User}} {{json .Config.Env}}"
    configured = said(image.DOCKER, "inspect", template, tests.full)
    check(configured.startswith("10001:10001 ") and "PAR_NATIVE=allow" in configured, configured)
