"""The entrypoint of the manifest, which runtimes with surfaces never call."""


def handler(context):
    """Answers a direct call."""
    return {"status": "ok", "received": context}
