"""REST and rendered UI: from a name in the manifest to an application that can be served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from par_guest import hooks, mounting
from par_guest.applications import Application, AsgiApp, Kind, adapt
from par_guest.lifespan import Lifespan
from par_guest.loading import resolve_any

#: The function of `rest.entry: module` without an attribute.
_MOUNT_DEFAULTS = ("mount",)

#: The attribute of `http_server: module` without one.
_APPLICATION_DEFAULTS = ("app", "application", "server", "create_app")


@dataclass(frozen=True)
class Served:
    """One application of the agent, with its start and stop."""

    #: What the agent wrote: an ASGI or WSGI application, or routes for PAR's own app.
    kind: Kind
    #: Serves HTTP as ASGI 3, whatever the agent wrote.
    asgi: AsgiApp
    lifespan: Lifespan


def application(name: str, python_path: Iterable[str] = ()) -> Served:
    """The application that `http_server` or `ui.entry` names.

    Raises [`LoadFailure`][par_guest.loading.LoadFailure] for anything that is not one.
    """
    _, found = resolve_any(name, _APPLICATION_DEFAULTS, python_path)
    return served(found, name)


def served(found: object, name: str) -> Served:
    """The application that `found`, which the manifest calls `name`, is or makes.

    Raises [`LoadFailure`][par_guest.loading.LoadFailure] for anything that is not one.
    """
    return _served(adapt(found, name))


def mount(name: str, python_path: Iterable[str] = ()) -> Served:
    """The application that the mount function of `rest.entry` fills, or that it names.

    Raises [`LoadFailure`][par_guest.loading.LoadFailure] for anything that is not one.
    """
    module, found = resolve_any(name, _MOUNT_DEFAULTS, python_path)
    mounted = mounting.mount(found, name)
    if mounted.kind != "router":
        # An application of the agent's own calls its startup functions itself.
        return _served(mounted)
    return _served(mounted, hooks.find(module, mounted.original))


def _served(application: Application, found_hooks: hooks.Hooks | None = None) -> Served:
    app = None if application.kind == "wsgi" else application.asgi
    return Served(application.kind, application.asgi, Lifespan(app, found_hooks))
