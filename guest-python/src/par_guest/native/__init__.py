"""Serves an agent from CPython on the host, for native code nobody built for the sandbox.

The host speaks frames over one inherited socket; everything else is what the sandbox runs, too.
Nothing of the component model is imported here.
"""
