def create_service():
    """Return the actions."""
