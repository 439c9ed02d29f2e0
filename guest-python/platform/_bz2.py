"""Stands in for `_bz2`, so that `bz2` can be imported by what never uses it."""

_REFUSED = "bzip2 is not part of the sandbox; use `zlib` or `gzip`"


class BZ2Compressor:
    """Refused."""

    def __init__(self, compresslevel=9, /):
        raise NotImplementedError(_REFUSED)


class BZ2Decompressor:
    """Refused."""

    def __init__(self):
        raise NotImplementedError(_REFUSED)
