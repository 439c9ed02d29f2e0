"""A module of this case."""
