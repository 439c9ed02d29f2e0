"""The A2A surface: `create_service` is called once and returns the action handlers.

A handler gets the parameters of the request as a dictionary of strings and may be `async`
or not. What it returns reaches the caller as Python's `str()` of it; what it raises, as the
error of the action.
"""

from text_tools import summarise


async def summary(parameters):
    """Summarises `text`, to `longest` words."""
    return summarise(parameters["text"], int(parameters.get("longest", "10")))


def count_words(parameters):
    """Counts the words of `text`."""
    return len(parameters["text"].split())


def create_service():
    """The actions of this agent, by name."""
    return {"custom_handlers": {"summary": summary, "count_words": count_words}}
