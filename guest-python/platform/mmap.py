"""Stands in for `mmap`: libraries import it for large files, and read small ones.

Files cannot be mapped into the memory of the sandbox.
"""

ACCESS_DEFAULT, ACCESS_READ, ACCESS_WRITE, ACCESS_COPY = 0, 1, 2, 3
MAP_SHARED, MAP_PRIVATE, MAP_ANON, MAP_ANONYMOUS = 1, 2, 32, 32
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
PAGESIZE = ALLOCATIONGRANULARITY = 65536

error = OSError


class mmap:
    """A mapped file, refused."""

    def __init__(self, *_arguments, **_options):
        raise OSError("files cannot be mapped into memory in the sandbox; read the file instead")
