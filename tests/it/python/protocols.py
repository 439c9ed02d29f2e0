"""A server of two protocols of the field, by their own SDKs: a tool by MCP, an agent by A2A."""

from a2a.helpers import new_text_message
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from mcp.server.mcpserver import MCPServer

tools = MCPServer("tools")


@tools.tool()
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Echo(AgentExecutor):
    async def execute(self, context, event_queue):
        await event_queue.enqueue_event(new_text_message(f"you said {context.get_user_input()}"))

    async def cancel(self, context, event_queue):
        raise NotImplementedError


def card(url):
    return AgentCard(
        name="echo", description="Echoes.", version="1.0",
        skills=[AgentSkill(id="echo", name="echo", description="Echoes.", tags=["echo"])],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text"], default_output_modes=["text"],
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
    )


app = tools.streamable_http_app(stateless_http=True)
_requests = DefaultRequestHandler(
    agent_executor=Echo(), task_store=InMemoryTaskStore(), agent_card=card("http://127.0.0.1/a2a")
)
app.routes.extend(create_jsonrpc_routes(_requests, "/a2a"))
