"""Take from this process the rights that speaking does not need. For helpers only.

Done on Linux: no new privileges, no capabilities, no core file, few open files, bounded memory, no
network where the kernel allows a namespace. Where the process is root, also a uid of its own and a
file system with nothing in it but the engine's voices.

What remains: the helper may use every system call; there is no seccomp filter. Without root it
keeps the uid of the web process and can read what that can read. Without Linux only the limits
hold. PR_SET_PDEATHSIG is set in forks only: it follows the thread that started the process, and the
threads of a web server end long before it. A helper ends with its parent because their socket
closes.
"""

import ctypes
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

UID = 65534  # nobody
OPEN_FILES = 32
# The clock that counts processor time may be ahead by a fifth, and is exact to a second or so.
TICKS_AHEAD = 1.25
CPU_SPARE_SECONDS = 2

# From the kernel's headers.
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522


def leave_network() -> bool:
    """Whether the process has no network from now on.

    Call it before there are threads: the kernel refuses the namespace of users, which this needs
    without root, to a process with several.
    """
    if sys.platform != "linux":
        return False
    namespaces = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    return bool(ctypes.CDLL(None).unshare(namespaces) == 0)


def reduce(*, folder: Path | None, memory_bytes_max: int) -> Path | None:
    """Give up everything else. Returns where `folder`, the only one still read, is from now on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    if sys.platform == "linux":
        # Of other systems some do not know this limit, and some refuse it.
        _lower(resource.RLIMIT_DATA, memory_bytes_max)
        if os.geteuid() == 0:
            folder = _enter(folder)
            os.setgroups([])
            os.setresgid(UID, UID, UID)
            os.setresuid(UID, UID, UID)
        _drop_capabilities()
    return folder


def stay_alone() -> None:
    """Start no process and no thread from now on."""
    _lower(resource.RLIMIT_NPROC, 0)


def limit_cpu(seconds: float) -> None:
    """End the process by SIGPROF when it has worked for about so long from now on.

    A timer, as RLIMIT_CPU has no "from now on": it counts the ticks of the clock, and by them a
    helper on a busy virtual machine has worked up to a fifth more than by any clock that it could
    read. That grows, until every piece would end it.
    """
    signal.setitimer(signal.ITIMER_PROF, TICKS_AHEAD * seconds + CPU_SPARE_SECONDS)


def end_with_parent(parent: int) -> None:
    """End this fork when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))


def _enter(folder: Path | None) -> Path | None:
    """Make the folder, or an empty one that nobody else can reach, all there is of files."""
    if folder is None:
        empty = tempfile.mkdtemp()
        os.chdir(empty)
        os.rmdir(empty)
    else:
        os.chdir(folder)
    os.chroot(".")
    os.chdir("/")
    return folder and Path("/")


def _drop_capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits each
    ctypes.CDLL(None).capset(header, none)
