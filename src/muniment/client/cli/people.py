"""Who did it, as people say it: names beside the ids of the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def came_in(found: Mapping[str, Any] | None, names: Mapping[str, str]) -> str:
    """Return in words how somebody came in; empty: that is not known."""
    if found is None:
        return ""
    if found["by"] == "issuer":
        return "login"
    made_by = found.get("made_by")
    return f"token of {names.get(made_by, made_by)}" if made_by else "token of the registry"


def makers(found: Iterable[Mapping[str, Any] | None]) -> set[str]:
    """Return the ids of who made the tokens that these came in with."""
    return {str(one["made_by"]) for one in found if one is not None and one.get("made_by")}


def who(actor: Mapping[str, Any] | None) -> str:
    """Return who acted: a name where there is one, else kind and id."""
    return "" if not actor else str(actor.get("name") or f"{actor.get('kind')} {actor.get('id')}")
