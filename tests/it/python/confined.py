"""What a hostile agent tries once it runs as native code; prints each attempt and what came of it, as JSON, or is
asked by `attempts.py`.

Everything goes through the C library, as an extension would: no Python stands in the way.
"""

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import socket
import sys

KNOWN = json.loads(os.environ["KNOWN"])
HOST = os.getppid()


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


STARTED_WITH = {number for number in range(256) if is_open(number)}
C = ctypes.CDLL(None, use_errno=True)

#: Numbers of the calls the C library has no function for.
NUMBERS = {
    "x86_64": {
        "add_key": 248,
        "bpf": 321,
        "clone": 56,
        "clone3": 435,
        "execveat": 322,
        "finit_module": 313,
        "fsopen": 430,
        "io_uring_setup": 425,
        "kcmp": 312,
        "kexec_load": 246,
        "keyctl": 250,
        "memfd_create": 319,
        "memfd_secret": 447,
        "open_by_handle_at": 304,
        "open_tree": 428,
        "perf_event_open": 298,
        "pidfd_getfd": 438,
        "pidfd_send_signal": 424,
        "pivot_root": 155,
        "process_madvise": 440,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "request_key": 249,
        "rt_sigqueueinfo": 129,
        "syslog": 103,
        "tgkill": 234,
        "tkill": 200,
        "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217,
        "bpf": 280,
        "clone": 220,
        "clone3": 435,
        "execveat": 281,
        "finit_module": 273,
        "fsopen": 430,
        "io_uring_setup": 425,
        "kcmp": 272,
        "kexec_load": 104,
        "keyctl": 219,
        "memfd_create": 279,
        "memfd_secret": 447,
        "open_by_handle_at": 265,
        "open_tree": 428,
        "perf_event_open": 241,
        "pidfd_getfd": 438,
        "pidfd_send_signal": 424,
        "pivot_root": 41,
        "process_madvise": 440,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "request_key": 218,
        "rt_sigqueueinfo": 138,
        "syslog": 116,
        "tgkill": 131,
        "tkill": 130,
        "userfaultfd": 282,
    },
}[platform.machine()]

CLONE_NEWUSER, CLONE_NEWNET, SIGCHLD = 0x10000000, 0x40000000, 17
F_SETOWN, F_SETSIG, TIOCSTI, TIOCSCTTY = 8, 10, 0x5412, 0x540E
BUFFER = ctypes.create_string_buffer(4096)


def system(name, *arguments):
    """A system call by its name."""
    return checked(C.syscall(NUMBERS[name], *(word(each) for each in arguments)))


def libc(name, *arguments):
    """A function of the C library."""
    return checked(getattr(C, name)(*(word(each) for each in arguments)))


def word(value):
    return ctypes.c_long(value) if isinstance(value, int) else value


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


class Address(ctypes.Structure):
    """`sockaddr_in`."""

    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("host", ctypes.c_uint8 * 4),
        ("rest", ctypes.c_uint8 * 8),
    )


def connects(host, port):
    opened = libc("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    try:
        parts = (ctypes.c_uint8 * 4)(*(int(part) for part in host.split(".")))
        address = Address(socket.AF_INET, socket.htons(port), parts)
        libc("connect", opened, ctypes.byref(address), ctypes.sizeof(address))
    finally:
        os.close(opened)


def opens(family, kind=socket.SOCK_STREAM, protocol=0):
    return lambda: os.close(libc("socket", int(family), int(kind), protocol))


def reads(path):
    with open(path, "rb") as file:
        return len(file.read(1 << 16))


def writes(path, size=1):
    with open(path, "wb", buffering=0) as file:
        for _ in range(size):
            file.write(b"x" * 65536)


def executes(path):
    """Runs a program in a child; the errno of what did not start is its status."""
    child = os.fork()
    if child == 0:
        try:
            os.execv(path, [path])
        except OSError as error:
            os._exit(error.errno)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(status, "not run")


def executes_own():
    path = os.path.join(KNOWN["scratch"], "program")
    with open(path, "w") as file:
        file.write("#!/bin/true\n")
    os.chmod(path, 0o700)
    executes(path)


def pair_of_datagrams():
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


def pair_of_streams():
    for end in socket.socketpair():
        end.close()


def clones(flags):
    if system("clone", flags | SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


def has_signals_sent():
    end, _ = socket.socketpair()
    libc("fcntl", end.fileno(), F_SETOWN, HOST)


def raises_a_limit():
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    except ValueError:
        raise PermissionError(errno.EPERM, "refused") from None


def takes_memory():
    try:
        bytearray(KNOWN["memory"])
    except MemoryError:
        raise OSError(errno.ENOMEM, "refused") from None


def forks_without_end():
    """As many children as can be had; they leave when their parent closes the pipe."""
    waiting, held = os.pipe()
    children = 0
    try:
        while children < 1000:
            if os.fork() == 0:
                os.close(held)
                os.read(waiting, 1)
                os._exit(0)
            children += 1
    finally:
        os.close(held)
        for _ in range(children):
            os.wait()


def leaves_its_group():
    """Twice forked, so that nobody waits for it."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            try:
                os.setsid()
                os.write(writing, b"0")
            except OSError as error:
                os.write(writing, str(error.errno).encode())
        os._exit(0)
    os.wait()
    number = int(os.read(reading, 8))
    if number:
        raise OSError(number, "refused")


def starts_as_root():
    """The effective user of a program that belongs to root and has the bit."""
    child = os.fork()
    if child == 0:
        try:
            os.execv(KNOWN["setuid"], ["python3", "-Ic", "import os; os._exit(os.geteuid() == 0)"])
        finally:
            os._exit(2)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 2:
        raise FileNotFoundError(errno.ENOEXEC, "not run")
    if status != 1:
        raise PermissionError(errno.EPERM, "not root")


def has_variables():
    known = {"KNOWN", "GRANTED", "LC_CTYPE"}
    if set(os.environ) <= known:
        raise FileNotFoundError(errno.ENOENT, "nothing was inherited")


def has_descriptors():
    if not STARTED_WITH - {0, 1, 2}:
        raise OSError(errno.EBADF, "nothing was inherited")


def has_a_terminal():
    os.close(os.open("/dev/tty", os.O_RDWR))


ATTEMPTS = {
    "connect to the metadata service": lambda: connects("169.254.169.254", 80),
    "connect to the metadata service of containers": lambda: connects("169.254.170.2", 80),
    "connect to a port of the host": lambda: connects("127.0.0.1", KNOWN["port"]),
    "socket of IPv6": opens(socket.AF_INET6),
    "socket of datagrams": opens(socket.AF_INET, socket.SOCK_DGRAM),
    "raw socket": opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "unix socket": opens(socket.AF_UNIX),
    "socket of packets": opens(socket.AF_PACKET, socket.SOCK_RAW),
    "socket of netlink": opens(socket.AF_NETLINK, socket.SOCK_RAW),
    "socket of vsock": opens(socket.AF_VSOCK),
    "socket of alg": opens(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "pair of datagram sockets": pair_of_datagrams,
    "listen": lambda: libc("listen", 0, 1),
    "read the file of another agent": lambda: reads(KNOWN["other"]),
    "write beside the scratch directory": lambda: writes(KNOWN["beside"]),
    "change its own package": lambda: writes(KNOWN["package"]),
    "environment of the host": lambda: reads(f"/proc/{HOST}/environ"),
    "memory of the host": lambda: reads(f"/proc/{HOST}/mem"),
    "descriptors of the host": lambda: os.listdir(f"/proc/{HOST}/fd"),
    "root of the host": lambda: os.listdir(f"/proc/{HOST}/root/"),
    "ptrace": lambda: libc("ptrace", 16, HOST, 0, 0),
    "process_vm_readv": lambda: system("process_vm_readv", HOST, BUFFER, 1, BUFFER, 1, 0),
    "process_vm_writev": lambda: system("process_vm_writev", HOST, BUFFER, 1, BUFFER, 1, 0),
    "process_madvise": lambda: system("process_madvise", 0, BUFFER, 1, 4, 0),
    "pidfd_getfd": lambda: system("pidfd_getfd", 0, 0, 0),
    "kcmp": lambda: system("kcmp", HOST, os.getpid(), 0, 0, 0),
    "io_uring": lambda: system("io_uring_setup", 1, BUFFER),
    "bpf": lambda: system("bpf", 0, BUFFER, 128),
    "keyctl": lambda: system("keyctl", 0, -3, 0),
    "add_key": lambda: system("add_key", b"user", b"name", b"value", 5, -3),
    "request_key": lambda: system("request_key", b"user", b"name", None, 0),
    "userfaultfd": lambda: system("userfaultfd", 0),
    "perf": lambda: system("perf_event_open", BUFFER, 0, -1, -1, 0),
    "kexec": lambda: system("kexec_load", 0, 0, 0, 0),
    "module": lambda: system("finit_module", 0, b"", 0),
    "log of the kernel": lambda: system("syslog", 3, BUFFER, 1),
    "personality": lambda: libc("personality", 0x0040000),
    "mount": lambda: libc("mount", b"none", KNOWN["scratch"].encode(), b"tmpfs", 0, None),
    "mount by the new calls": lambda: system("fsopen", b"tmpfs", 0),
    "copy of a mount": lambda: system("open_tree", -100, b"/", 1),
    "unmount": lambda: libc("umount2", b"/proc", 2),
    "pivot_root": lambda: system("pivot_root", b"/", b"/"),
    "chroot": lambda: libc("chroot", KNOWN["scratch"].encode()),
    "file by its handle": lambda: system("open_by_handle_at", -100, BUFFER, 0),
    "unshare the user": lambda: libc("unshare", CLONE_NEWUSER),
    "join a namespace": lambda: libc("setns", 0, 0),
    "clone with a network": lambda: clones(CLONE_NEWUSER | CLONE_NEWNET),
    "clone3": lambda: system("clone3", BUFFER, 88),
    "memory that is a file": lambda: system("memfd_create", b"code", 0),
    "execute what has no name": lambda: system("execveat", 0, b"", None, None, 0x1000),
    "execute what it wrote": executes_own,
    "execute a shell": lambda: executes("/bin/true"),
    "start as root": starts_as_root,
    "become root": lambda: libc("setuid", 0),
    "signal to everybody": lambda: os.kill(-1, 0),
    "signal to the host": lambda: os.kill(HOST, 0),
    "signal to another process of its user": lambda: os.kill(KNOWN["neighbour"], 0),
    "signal to a group": lambda: os.killpg(os.getpgid(0), 0),
    "signal to a thread of the host": lambda: system("tgkill", HOST, HOST, 0),
    "signal to a thread": lambda: system("tkill", HOST, 0),
    "signal with a value": lambda: system("rt_sigqueueinfo", HOST, 0, BUFFER),
    "signal by a descriptor": lambda: system("pidfd_send_signal", 0, 0, None, 0),
    "signal by another's input": has_signals_sent,
    "limits of the host": lambda: resource.prlimit(HOST, resource.RLIMIT_NOFILE, (1, 1)),
    "priority of the host": lambda: os.setpriority(os.PRIO_PROCESS, HOST, 19),
    "cores of the host": lambda: os.sched_setaffinity(HOST, {0}),
    "a session of its own": os.setsid,
    "a group of its own": lambda: os.setpgid(0, 0),
    "leave by forking twice": leaves_its_group,
    "type into the terminal": lambda: libc("ioctl", 0, TIOCSTI, b"x"),
    "take a terminal": lambda: libc("ioctl", 0, TIOCSCTTY, 1),
    "open the terminal": has_a_terminal,
    "be looked at": lambda: libc("prctl", 4, 1, 0, 0, 0),
    "be the parent of orphans": lambda: libc("prctl", 36, 1, 0, 0, 0),
    "write a core file": raises_a_limit,
    "fill the disk": lambda: writes(os.path.join(KNOWN["scratch"], "large"), 100),
    "fill shared memory": lambda: writes(KNOWN["shared"], 100),
    "shared memory of System V": lambda: libc("shmget", 0, 4096, 0o1600),
    "take all memory": takes_memory,
    "fork without end": forks_without_end,
    "variables of the host": has_variables,
    "descriptors it was started with": has_descriptors,
}

#: What an agent may well do.
USES = {
    "pair of stream sockets": pair_of_streams,
    "signal to itself": lambda: os.kill(os.getpid(), 0),
    "signal to its own group": lambda: os.kill(0, 0),
    "write to the scratch directory": lambda: writes(os.path.join(KNOWN["scratch"], "small")),
    "read its own package": lambda: reads(KNOWN["package"]),
    "read what the system says about itself": lambda: reads("/proc/self/status"),
    "a thread": lambda: __import__("threading").Thread(target=len, args=("",)).start(),
    "its own priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
    "the granted variable": lambda: os.environ["GRANTED"],
}


def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return "done"


def every():
    return {name: outcome(attempt) for name, attempt in (USES | ATTEMPTS).items()}


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    json.dump(every(), sys.stdout)
