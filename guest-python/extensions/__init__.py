"""Builds native Python extensions for WASI from their published sources.

Run it with `python3 guest-python/extensions`. `guest-python/README.md` explains how, and
`docs/adr/0002-native-extensions-for-wasi.md` why.
"""
