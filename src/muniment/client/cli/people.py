"""Who did it, as people say it: names beside the ids of the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muniment.client.client import Client


def add_names(client: Client, actors: Iterable[dict[str, Any]]) -> None:
    """Put `name` into each `{"kind", "id"}` that has none, where the registry knows one."""
    nameless = [each for each in actors if each.get("id") and not each.get("name")]
    names = client.principals.names(str(each["id"]) for each in nameless)
    for each in nameless:
        if each["id"] in names:
            each["name"] = names[each["id"]]
