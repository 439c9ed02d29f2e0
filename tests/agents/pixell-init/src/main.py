def handler(context):
    """The entrypoint; not called where there are surfaces."""
    return {"message": "Hello", "received": context}
