"""Whether a request to create a version is one the client sent before and got no answer to.

MLflow's client before 3.18 sends a create again after a broken connection or a 5xx of something in
between. Asking twice for the same is honest, too: MLflow numbers both. A create is a repeat if

1. the same caller asked for the same: source, run, logged model, link, description and tags;
2. what it made then is the model's newest version still, less than two minutes old, and nobody has said
   or done anything with it: whoever did has seen the answer;
3. the client may repeat at all: MLflow's own since 3.18 does not;
4. it does not come over the connection the earlier answer was sent on: who asks there has read it.

So an honest second version takes a changed word, a newer client, the same connection, or two minutes.

Source: MLflow's own client (`rest_utils`), urllib3's retries.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WINDOW: Final = dt.timedelta(minutes=2)
_CLIENT: Final = re.compile(r"mlflow-python-client/([0-9]+)\.([0-9]+)")
_REPEATS_NOT_SINCE: Final = (3, 18)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a create asks for, or asked for; empty where nothing was said."""

    source: str
    run_id: str
    model_id: str
    run_link: str
    description: str
    tags: Mapping[str, str]


def may_repeat(user_agent: str) -> bool:
    """Say whether a client of that name sends a create again that it got no answer to."""
    found = _CLIENT.match(user_agent)
    return found is None or (int(found[1]), int(found[2])) < _REPEATS_NOT_SINCE


def same(asked: Asked, earlier: Asked) -> bool:
    """Say whether `asked` is what `earlier` was; a run or model that is not named follows from the source."""
    return (
        asked.source == earlier.source
        and asked.run_link == earlier.run_link
        and asked.description == earlier.description
        and dict(asked.tags) == dict(earlier.tags)
        and asked.run_id in {"", earlier.run_id}
        and asked.model_id in {"", earlier.model_id}
    )
