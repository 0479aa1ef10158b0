"""What is done now and then: drop abandoned uploads, read stored blobs again."""

from muniment.server.artifacts.jobs.collect import Keeper, collect
from muniment.server.artifacts.jobs.scrub import scrub
from muniment.server.artifacts.jobs.uploads import sweep_uploads
from muniment.server.ports.queue import Handler, Periodic

__all__ = ["HANDLERS", "PERIODIC", "Keeper", "collect", "scrub", "sweep_uploads"]

HANDLERS: list[Handler] = [
    Handler("artifacts.sweep_uploads", lambda deps, _job: sweep_uploads(deps), attempts=3),
    Handler("artifacts.scrub", lambda deps, _job: scrub(deps), attempts=3),  # it may take long
]
PERIODIC: list[Periodic] = [
    Periodic("artifacts.sweep_uploads", "*/10 * * * *"),
    Periodic("artifacts.scrub", "*/10 * * * *"),
]
