"""Holds the images against what they promise, in containers of a Docker engine of its own."""
