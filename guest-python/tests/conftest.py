"""An agent package in a directory of its own, forgotten after the test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import httpx
import pytest

from par_guest.loading import use_python_path


class Package:
    """The files of one agent, on the path as PAR puts them there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python_path = [str(root)]
        use_python_path(self.python_path)

    def write(self, name: str, text: str) -> Package:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
        return self


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Package]:
    known, path = set(sys.modules), list(sys.path)
    yield Package(tmp_path)
    sys.path[:] = path
    new = set(sys.modules) - known
    for name in [name for name in new if _is_below(sys.modules[name], tmp_path)]:
        del sys.modules[name]


def _is_below(module: ModuleType, root: Path) -> bool:
    # Through `vars`: an agent's module may have a `__getattr__` that raises.
    spec = vars(module).get("__spec__")
    places = [getattr(spec, "origin", None) or ""]
    places += getattr(spec, "submodule_search_locations", None) or ()
    return any(str(root) in place for place in places)


class Client:
    """Sends requests to an ASGI application, as the bridge does."""

    def __init__(self, app: Any, root_path: str = "") -> None:
        self._app = app
        self._root_path = root_path

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, root_path=self._root_path)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://agent.test"
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def client() -> type[Client]:
    return Client
