"""Stands in for `_lzma`, so that `lzma` can be imported by what never uses it."""

_REFUSED = "LZMA is not part of the sandbox; use `zlib` or `gzip`"

FORMAT_AUTO, FORMAT_XZ, FORMAT_ALONE, FORMAT_RAW = range(4)
CHECK_NONE, CHECK_CRC32, CHECK_CRC64, CHECK_SHA256, CHECK_ID_MAX, CHECK_UNKNOWN = (
    0,
    1,
    4,
    10,
    15,
    16,
)
FILTER_DELTA, FILTER_X86, FILTER_POWERPC, FILTER_IA64, FILTER_ARM = 3, 4, 5, 6, 7
FILTER_ARMTHUMB, FILTER_SPARC = 8, 9
FILTER_LZMA1, FILTER_LZMA2 = 0x4000000000000001, 0x21
MF_HC3, MF_HC4, MF_BT2, MF_BT3, MF_BT4 = 3, 4, 18, 19, 20
MODE_FAST, MODE_NORMAL = 1, 2
PRESET_DEFAULT, PRESET_EXTREME = 6, 1 << 31


class LZMAError(Exception):
    """What the format's errors are."""


class LZMACompressor:
    """Refused."""

    def __init__(self, *_arguments, **_options):
        raise NotImplementedError(_REFUSED)


class LZMADecompressor:
    """Refused."""

    def __init__(self, *_arguments, **_options):
        raise NotImplementedError(_REFUSED)


def is_check_supported(check, /):
    """No check is."""
    return False


def _encode_filter_properties(_filter, /):
    raise NotImplementedError(_REFUSED)


def _decode_filter_properties(_filter_id, _encoded, /):
    raise NotImplementedError(_REFUSED)
