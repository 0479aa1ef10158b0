"""Become an account PostgreSQL accepts, then become PostgreSQL.

Run as a script, by `embedded_postgres`, in a fresh interpreter with nothing but the standard
library: `python -I -S postgres_launcher.py MODE UID GID PARENT PROGRAM ARGUMENT…`.

PostgreSQL refuses to run as root and asks for an account with a name. MODE says how it gets one:

- `plain`: it runs as who we are.
- `namespace`: it runs in a user namespace where our own account is called UID. Outside, its files
  stay ours: no directory is given away and none has to be opened to others.
- `account`: it runs as UID (where namespaces are forbidden, as in most containers).

PARENT (0: nobody) is the process whose death shuts PostgreSQL down (Linux only), so that a killed
server leaves no database behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def enter_namespace(uid: int, gid: int) -> None:
    """Enter a new user namespace in which this process is `uid` and `gid`.

    Raises:
        OSError: the kernel, a container or a security module forbids it.
    """
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux") or libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 -- start fast
            file.write(text)


def become(uid: int, gid: int) -> None:
    """Drop to the account `uid` for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int) -> None:
    """Have the kernel ask for a fast shutdown when `parent` dies, and stop if it already has."""
    if not parent or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT))
    if os.getppid() != parent:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Do what the module says; return only if PROGRAM is empty (a trial of MODE)."""
    mode, uid, gid, parent, program = arguments[0], *map(int, arguments[1:4]), arguments[4]
    if mode == "namespace":
        enter_namespace(uid, gid)
    elif mode == "account":
        become(uid, gid)
    if program:
        die_with(parent)
        os.execv(program, arguments[4:])  # noqa: S606 -- the program is the wheel's own


if __name__ == "__main__":
    main(sys.argv[1:])
