from __future__ import annotations

import sys

import pytest

from par_guest import loading
from par_guest.loading import LoadFailure


def test_an_attribute_of_a_nested_module_is_found(package):
    package.write("src/rest/index.py", "def mount(app): return 'mounted'")

    found = loading.resolve("src.rest.index:mount", package.python_path)

    assert found(None) == "mounted"


def test_a_dotted_attribute_is_found(package):
    package.write("main.py", "class server:\n    app = 7")

    assert loading.resolve("main:server.app") == 7


def test_the_first_default_the_module_has_is_taken(package):
    package.write("a2a_service.py", "def create_service(): pass")

    module, found = loading.resolve_any("a2a_service", ("create_grpc_server", "create_service"))

    assert found is module.create_service


def test_a_missing_module_is_named_with_the_one_that_was_meant(package):
    package.write("rest_routes.py", "")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("rest_route:mount", package.python_path)

    assert failure.value.reason == "module-not-found"
    assert failure.value.message == (
        "`rest_route` is not a module of the package; did you mean `rest_routes`?"
    )
    assert failure.value.traceback == ""


def test_a_missing_submodule_is_named_with_the_one_that_was_meant(package):
    package.write("src/rest/index.py", "")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("src.rest.indx:mount", package.python_path)

    assert failure.value.message == (
        "`src.rest.indx` is not a module of the package; did you mean `src.rest.index`?"
    )


def test_a_missing_import_of_the_module_is_an_import_failure(package):
    package.write("rest_routes.py", "import a_library_nobody_has")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("rest_routes:mount", package.python_path)

    assert failure.value.reason == "import-failed"
    assert failure.value.message.startswith(
        "module `rest_routes` imports `a_library_nobody_has`, which is not installed"
    )
    assert "rest_routes.py" in failure.value.traceback


def test_a_module_that_imports_its_own_missing_package_is_an_import_failure(package):
    package.write("src/__init__.py", "import src.rest")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("src.rest:mount", package.python_path)

    assert failure.value.reason == "import-failed"


@pytest.mark.parametrize(
    "statement", ["raise SystemExit(3)", "raise KeyboardInterrupt", "1 / 0", "def ("]
)
def test_whatever_an_import_raises_is_an_import_failure(package, statement):
    package.write("main.py", statement)

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("main:app", package.python_path)

    assert failure.value.reason == "import-failed"
    assert "main.py" in failure.value.traceback


def test_an_exception_without_readable_text_is_still_reported(package):
    package.write(
        "main.py",
        """
        class Odd(Exception):
            def __str__(self):
                raise ValueError

        raise Odd
        """,
    )

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("main:app", package.python_path)

    assert failure.value.message.endswith("Odd: its text cannot be read")


def test_a_missing_attribute_is_named_with_the_one_that_was_meant(package):
    package.write("rest_routes.py", "def mount_routes(app): pass")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("rest_routes:mount", package.python_path)

    assert failure.value.reason == "attribute-not-found"
    assert failure.value.message == (
        "module `rest_routes` has no attribute `mount`; it has `mount_routes`"
    )


def test_a_missing_attribute_is_named_with_what_there_is(package):
    package.write("rest_routes.py", "import json\ndef setup(): pass\nclass Routes: pass")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("rest_routes:mount", package.python_path)

    assert failure.value.message == (
        "module `rest_routes` has no attribute `mount`; it defines `setup`, `Routes`"
    )


def test_an_attribute_that_raises_is_an_import_failure(package):
    package.write("main.py", "def __getattr__(name): raise SystemExit(1)")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("main:app", package.python_path)

    assert failure.value.reason == "import-failed"


@pytest.mark.parametrize("name", ["../etc", "", "a..b", "a b", ".a"])
def test_what_is_no_module_name_is_not_imported(package, name):
    with pytest.raises(LoadFailure) as failure:
        loading.resolve(f"{name}:app", package.python_path)

    assert failure.value.reason == "module-not-found"


def test_a_module_hidden_by_the_standard_library_is_refused(package):
    package.write("calendar.py", "def mount(app): pass")
    assert "calendar" in sys.modules or __import__("calendar")

    with pytest.raises(LoadFailure) as failure:
        loading.resolve("calendar:mount", package.python_path)

    assert failure.value.reason == "module-not-found"
    assert "rename it" in failure.value.message


def test_the_agents_directories_come_first_and_once(package):
    loading.use_python_path(["/agent/src", "/agent"])
    loading.use_python_path(["/agent/src", "/agent"])

    assert sys.path[:2] == ["/agent/src", "/agent"]
    assert sys.path.count("/agent") == 1


def test_a_function_that_waits_while_loading_is_refused():
    async def waits():
        import asyncio

        await asyncio.sleep(0)

    with pytest.raises(LoadFailure) as failure:
        loading.call_at_load(waits, "main:create")

    assert failure.value.reason == "wrong-shape"


def test_an_async_function_that_does_not_wait_is_called():
    async def ready():
        return 5

    assert loading.call_at_load(ready, "main:create") == 5
