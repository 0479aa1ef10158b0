"""The command `muniment`: the client's commands and the server's, joined. Only this file knows both."""

from __future__ import annotations

import sys

from muniment.client.cli.app import POLICY, build, run
from muniment.client.cli.lazy import Later
from muniment.client.cli.screen import Session

_SERVER = "muniment.server.commands"
_POLICY = "muniment.server.policy_commands"
_SHOWN = "muniment.server.policy_show_commands"
_PANEL = "Run a registry"
_WITHOUT = (
    "`muniment {name}` needs the server, which is not installed (no module `{missing}`):"
    " run `pip install 'muniment[server]'`"
)
_HELP = {
    "serve": "Run a registry on this machine.",
    "worker": "Run a registry's jobs, without the API.",
    "migrate": "Bring the database to this release's schema.",
    "fsck": "Compare every table with the log, and blobs with their digests.",
    "gc": "Remove stored bytes that nothing names.",
    "state": "Rebuild the state at a time from the log.",
}
#: `muniment policy`, as far as it works on bundles on this machine.
_LOCAL = {
    "lint": "Say everything that is wrong with a bundle.",
    "test": "Run the fixtures of a bundle.",
    "eval": "Say what a bundle says of an input document.",
    "pack": "Write a bundle for an Open Policy Agent.",
}
_EITHER = {
    "show": "Show a bundle's criteria, here or there.",
    "diff": "Say how two bundles differ.",
}


def server_commands() -> dict[str, Later]:
    """Return the server's commands by name; none of them is loaded yet."""
    local = {name: Later(_POLICY, text, "Bundles", name, _WITHOUT) for name, text in _LOCAL.items()}
    either = {name: Later(_SHOWN, text, "Bundles", name) for name, text in _EITHER.items()}
    policy = Later(
        "", "Check, try, activate policies.", "Govern", group={**local, **either, **POLICY}
    )
    server = {name: Later(_SERVER, text, _PANEL, name, _WITHOUT) for name, text in _HELP.items()}
    return {"policy": policy, **server}


def main() -> None:
    """Run the command line; exits with 0 when all went well, 1 on an error, 2 on wrong usage."""
    session = Session()
    try:
        run(build(server_commands()), session)
    except Exception as error:
        if session.debug:
            raise
        sys.stderr.write(
            f"Error: {type(error).__name__}: {error}\n"
            "This should not happen. Run `muniment --debug …` to see where, and report it.\n"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
