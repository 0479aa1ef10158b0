"""What MLflow's stages ask of us.

1. Names are read without regard to case; they are None, Staging, Production and Archived.
2. Production and Staging are deployments there, found through no alias; None is none of these;
   Archived is deprecated and none of these. A version goes to one stage and leaves the one it had.
3. Archiving what is there is asked for with Production and Staging only.
4. What production finds through an alias leaves production with the alias, not by a stage: both
   would otherwise say different things.

Source: MLflow's own server, as its client understands it; requirements §1.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from muniment.core.errors import BadRequest, LifecycleConflict
from muniment.server.lifecycle.records import Deployment, Stage

_STAGES: Final = {stage.value.lower(): stage for stage in Stage}
#: The order in which MLflow names them.
ORDER: Final = (Stage.NONE, Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED)
_ACTIVE: Final = (Stage.STAGING, Stage.PRODUCTION)


def parse_stage(text: str) -> Stage:
    """Read a stage.

    Raises:
        BadRequest: there is none of that name.
    """
    found = _STAGES.get(text.lower())
    if found is None:
        known = ", ".join(stage.value for stage in ORDER)
        raise BadRequest(f"Invalid Model Version stage: {text[:80]}. Value must be one of {known}.")
    return found


def check_archive(target: Stage, *, archive: bool) -> None:
    """Go on only if what is at `target` may be archived, where that is asked for.

    Raises:
        BadRequest: it is not an active stage.
    """
    if archive and target not in _ACTIVE:
        raise BadRequest(
            "Model version transition cannot archive existing model versions because"
            f" '{target.value}' is not an Active stage. Valid stages are Staging, Production"
        )


def check_free(name: str, number: int, live: Sequence[Deployment]) -> None:
    """Go on only if no alias keeps the version where it is.

    Raises:
        LifecycleConflict: production finds it through one.
    """
    for one in live:
        if one.alias is not None:
            raise LifecycleConflict(
                f"production finds version {number} of {name[:300]} through the alias {one.alias}:"
                " point that elsewhere first, set_registered_model_alias"
                f"({name[:300]!r}, {one.alias!r}, VERSION), or delete it"
            )
