"""What the agent can do; REST and A2A are two doors to it."""

import re


def summarise(text: str, longest: int) -> dict[str, object]:
    """Counts the words of a text and shortens it to `longest` words."""
    words = re.findall(r"\S+", text)
    short = " ".join(words[:longest])
    return {
        "words": len(words),
        "characters": len(text),
        "summary": short if len(words) <= longest else f"{short} …",
    }
