"""What an agent registers with a server that PAR stands in for.

PAR serves the A2A port itself, so a server of the agent never listens: it only remembers
the methods that were added to it, and PAR calls those.
"""

from grpc._types import HandlerCallDetails

#: The method PAR calls; asked of registrations that do not list what they hold.
_INVOKE = "/pixell.agent.AgentService/Invoke"

WAITS_FOREVER = (
    "PAR serves the A2A port, so waiting for this server would wait forever; "
    "return the server or its servicer instead"
)


class MethodRegistry:
    """The part of a server that takes registrations."""

    def __init__(self):
        #: Handlers by the path of their method.
        self.registered_methods = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers):
        for generic in generic_rpc_handlers:
            methods = getattr(generic, "methods", None)
            if isinstance(methods, dict):
                self.registered_methods.update(methods)
                continue
            found = generic.service(HandlerCallDetails(_INVOKE))
            if found is not None:
                self.registered_methods[_INVOKE] = found

    def add_registered_method_handlers(self, service_name, method_handlers):
        for name, method in method_handlers.items():
            self.registered_methods[f"/{service_name}/{name}"] = method

    def add_insecure_port(self, address):
        return port_of(address)

    def add_secure_port(self, address, server_credentials):
        return port_of(address)


def port_of(address):
    """The port in an address such as `[::]:50051`; 0 when it names none."""
    text = address.decode() if isinstance(address, bytes) else str(address)
    digits = text.rpartition(":")[2]
    return int(digits) if digits.isdigit() else 0
