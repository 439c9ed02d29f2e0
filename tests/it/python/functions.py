"""An agent that is only functions by name, for `a2a.http_server`."""


async def chat(params):
    return {"you said": params.get("message"), "tone": params.get("tone")}


def add(params):
    return sum(params["numbers"])


def fails(params):
    raise ValueError("it went wrong")


async def count(params):
    yield {"type": "thinking", "content": "let me see"}
    for number in range(params["to"]):
        yield {"type": "content", "content": str(number)}
    if params.get("break"):
        raise ValueError("it broke")
    yield {"type": "done", "metadata": {"counted": params["to"]}}


def main(port):
    """What the platform calls; older agents start a server here and want the port."""
    assert port > 0
    return {
        "custom_handlers": {"chat": chat, "add": add, "fails": fails},
        "streaming_handlers": {"count": count},
    }
