"""Stands in for `resource`: the limits of the sandbox are the operator's, and are not shown."""

import time as _time
from collections import namedtuple as _namedtuple

RLIM_INFINITY = -1
RUSAGE_SELF, RUSAGE_CHILDREN = 0, -1
RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE = 0, 1, 2, 3, 4
RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS = 5, 6, 7, 8, 9

error = OSError

struct_rusage = _namedtuple(
    "struct_rusage",
    "ru_utime ru_stime ru_maxrss ru_ixrss ru_idrss ru_isrss ru_minflt ru_majflt ru_nswap "
    "ru_inblock ru_oublock ru_msgsnd ru_msgrcv ru_nsignals ru_nvcsw ru_nivcsw",
)


def getrlimit(resource, /):
    """Knows of no limit."""
    return RLIM_INFINITY, RLIM_INFINITY


def setrlimit(resource, limits, /):
    """Refused."""
    raise PermissionError("limits are set by the operator of PAR, and not in the sandbox")


def getrusage(who, /):
    """The processor time of this instance; nothing else is counted."""
    used = _time.process_time() if who == RUSAGE_SELF else 0.0
    return struct_rusage(used, 0.0, *[0] * 14)


def getpagesize():
    """The page of WebAssembly. Unit: bytes."""
    return 65536
