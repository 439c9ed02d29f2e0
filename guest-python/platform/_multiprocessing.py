"""Stands in for `_multiprocessing`, so that locks between processes can be imported."""

_REFUSED = (
    "the sandbox starts no processes, so there is nothing to share a lock or a queue with; "
    "use those of `asyncio` or `threading`"
)


class SemLock:
    """A semaphore between processes, refused."""

    SEM_VALUE_MAX = 2**31 - 1

    def __init__(self, *_arguments, **_options):
        raise PermissionError(_REFUSED)

    @staticmethod
    def _rebuild(*_arguments):
        raise PermissionError(_REFUSED)


def sem_unlink(name, /):
    """There are none."""
    raise FileNotFoundError(_REFUSED)
