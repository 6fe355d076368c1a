"""What keeps a training process apart from others on this machine: its network and its files.

The warm parent loads this file in the user's interpreter, so it uses the standard library only.
The functions change the process that calls them, which has one thread and is about to run a script.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

# From linux/sched.h, linux/sockios.h, linux/if.h and linux/mount.h.
NEW_NETWORK, NEW_USER, NEW_MOUNTS = 0x40000000, 0x10000000, 0x00020000
SET_INTERFACE_FLAGS, UP = 0x8914, 1
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DETACH = 2
# Loaded once, before a child is forked, where it would take longer than the call.
LIBC = ctypes.CDLL(None, use_errno=True)


def isolate(*, peers: bool) -> None:
    """Leave this process only a loopback interface, or say why that is impossible here.

    Args:
        peers: whether other instances of the training job must reach this one, as AWS allows.
    """
    problem = "its instances must reach each other" if peers else leave_network()
    if problem:
        line = f"hpoq: network isolation of this job is not enforced on this machine: {problem}\n"
        sys.stdout.write(line)


def leave_network() -> str:
    """Move this process to a network of its own; return why that failed, or an empty string."""
    problem = _unshare(NEW_NETWORK)
    if problem:
        return problem
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sh22x", b"lo", UP)
        fcntl.ioctl(any_socket, SET_INTERFACE_FLAGS, up)
    return ""


def can_replace_folders() -> bool:
    """Return whether ``replace_folders`` works: on Linux, as root or with user namespaces.

    A child tries it, because a failure can leave a process without permissions.
    """
    child = os.fork()
    if child == 0:
        succeeded = False
        with contextlib.suppress(BaseException):
            succeeded = replace_folders({"/tmp": "/tmp"}, ())  # noqa: S108
        os._exit(0 if succeeded else 1)
    _, status = os.waitpid(child, 0)
    return status == 0


def replace_folders(folders: Mapping[str, str], kept: Iterable[str]) -> bool:
    """Put other folders in the place of folders such as /tmp, for this process and its children.

    Args:
        folders: the folder that takes the place of each.
        kept: paths below the replaced folders that stay what they are: see ``hidden``.

    Returns:
        Whether it succeeded. If not, the folders are what they were.
    """
    if _unshare(NEW_MOUNTS):
        return False
    with contextlib.ExitStack() as opened:

        def handle(path: str) -> str:
            descriptor = os.open(path, os.O_PATH)
            opened.callback(os.close, descriptor)
            return f"/proc/self/fd/{descriptor}"

        replaced: list[str] = []
        try:
            _mount("none", "/", RECURSIVE | PRIVATE)  # others do not see what is mounted next
            sources = {place: handle(own) for place, own in folders.items()}
            hidden_sources = {path: handle(path) for path in kept}
            for place, source in sources.items():
                _mount(source, place, BIND)
                replaced.append(place)
            for path, source in hidden_sources.items():
                _create(path, like=source)
                _mount(source, path, BIND | RECURSIVE)
        except OSError:
            for place in replaced:
                _unmount(place)
            return False
    return True


def hidden(paths: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return the paths below folders, without those that are below another path."""
    found: list[str] = []
    places = tuple(f"{place}/" for place in folders)
    for path in sorted(filter(lambda each: each.startswith(places), map(os.path.normpath, paths))):
        covered = any(path.startswith(f"{each}/") for each in found)
        if path not in found and not covered and os.path.exists(path):  # noqa: PTH110  faster
            found.append(path)
    return found


def _create(path: str, *, like: str) -> None:
    """Create an empty folder or file, of the kind of another one, on which it can be mounted."""
    if Path(like).is_dir():
        Path(path).mkdir(parents=True, exist_ok=True)
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def _unshare(kind: int) -> str:
    """Move this process to a namespace of its own; return why that failed, or an empty string."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux"
    unshare = LIBC.unshare
    user, group = os.getuid(), os.getgid()
    if unshare(kind):
        if unshare(kind | NEW_USER):
            return os.strerror(ctypes.get_errno())
        try:
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError as error:
            return str(error.strerror)
    return ""


def _mount(source: str, place: str, flags: int) -> None:
    if LIBC.mount(os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(flags), None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)


def _unmount(place: str) -> None:
    LIBC.umount2(os.fsencode(place), DETACH)
