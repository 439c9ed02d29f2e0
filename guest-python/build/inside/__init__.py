"""Python that runs inside the guest while it is built, by the guest's own CPython."""
