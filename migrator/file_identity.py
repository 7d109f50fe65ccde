"""
Which file a path leads to, in a form that lasts: its inode and, where there is one, its birth time.

The device's number is left out, since it changes with a reboot. On file systems that invent inode
numbers anew with each mount, nothing tells one file from another.
"""

import ctypes
import os
import re
import sys
from pathlib import Path

# File systems whose inode numbers do not last, and those of other machines.
_UNLASTING = re.compile(
    r"fuse.*|9p|v?fat|msdos|exfat|ntfs3?|nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|lustre|"
    r"virtiofs|vboxsf|prl_fs|drvfs|davfs"
)
_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|lustre|davfs|fuse\.sshfs|9p")
MOUNTS = Path("/proc/self/mounts")
_AT_FDCWD = -100
_STATX_BTIME = 0x800


def file_identity(path: Path) -> str:
    """The inode's number and birth time of a file; "" = its file system gives none that last."""
    if _UNLASTING.fullmatch(file_system(path)):
        return ""
    found = path.stat()
    born = getattr(found, "st_birthtime_ns", None) or _birth_ns(path)
    return f"{found.st_ino}" if born is None else f"{found.st_ino} {born}"


def is_on_network(path: Path) -> bool:
    """Whether a file lies on another machine, as far as the mount table tells."""
    return _NETWORK.fullmatch(file_system(path)) is not None


def file_system(path: Path) -> str:
    """The type of the file system that holds a path, such as "ext4"; "" = not known."""
    try:
        # A path in it has its blanks written as octal numbers.
        mounts = MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    place, best, kind = str(path.resolve()), -1, ""
    for _, point, name, *_ in (line.split(" ") for line in mounts):
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point).rstrip("/")
        # Of two mounts on one point the later one is seen.
        if (place == point or place.startswith(f"{point}/")) and len(point) >= best:
            best, kind = len(point), name
    return kind


class _Statx(ctypes.Structure):
    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("_to_birth", ctypes.c_uint8 * 76),
        ("birth_seconds", ctypes.c_int64),
        ("birth_nanoseconds", ctypes.c_uint32),
        ("_rest", ctypes.c_uint8 * 164),
    )


def _birth_ns(path: Path) -> int | None:
    """When a file was made, in nanoseconds since the epoch, by Linux's statx; `None` = not kept."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        statx = ctypes.CDLL(None).statx
    except (OSError, AttributeError):  # an older C library
        return None
    found = _Statx()
    failed = statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, ctypes.byref(found))
    if failed or not found.mask & _STATX_BTIME:
        return None
    return int(found.birth_seconds) * 1_000_000_000 + int(found.birth_nanoseconds)
