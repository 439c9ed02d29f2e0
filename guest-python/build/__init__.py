"""Builds the guest: the component of `wit/` and the directories it is mounted with.

Run it with `python3 guest-python/build`. `guest-python/README.md` explains the pipeline.
"""
