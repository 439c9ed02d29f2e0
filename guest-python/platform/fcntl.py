"""Stands in for `fcntl`: locks of files, and settings of descriptors.

What an instance may write to (`/scratch`) no other process sees, so a lock is always granted.
"""

import errno as _errno

LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = 0, 1, 2, 3, 4
F_RDLCK, F_WRLCK, F_UNLCK, F_GETLK, F_SETLK, F_SETLKW = 0, 1, 2, 5, 6, 7
FD_CLOEXEC = 1
F_FULLFSYNC = 51


def flock(fd, operation, /):
    """Grants a lock: nobody else has the file."""


def lockf(fd, cmd, len=0, start=0, whence=0, /):
    """Grants a lock: nobody else has the file."""


def fcntl(fd, cmd, arg=0, /):
    """Knows whether a descriptor is closed by `exec`, which there is none of; refuses the rest."""
    if cmd == F_GETFD:
        return FD_CLOEXEC
    if cmd == F_SETFD:
        return 0
    raise OSError(_errno.ENOSYS, "descriptors have no settings in the sandbox")


def ioctl(fd, request, arg=0, mutate_flag=True, /):
    """Refused: there are no devices."""
    raise OSError(_errno.ENOTTY, "there are no devices in the sandbox")
