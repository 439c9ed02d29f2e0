def serve() -> None:
    # The project starts without actions.
    print("no actions yet")
