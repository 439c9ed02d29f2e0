def create_grpc_server():
    """Return the actions."""
