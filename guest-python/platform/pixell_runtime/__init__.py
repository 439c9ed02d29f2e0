"""Stands in for the Python package of the original runtime, for agents that import it."""

__version__ = "0.1.0"
