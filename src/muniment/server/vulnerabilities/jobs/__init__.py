"""What is done of vulnerabilities outside requests."""

from muniment.server.ports.queue import Handler, Periodic
from muniment.server.vulnerabilities.jobs.importing import import_
from muniment.server.vulnerabilities.jobs.matching import match, match_subject

HANDLERS: list[Handler] = [
    Handler("vulnerabilities.import", import_, at_once=1),
    Handler("vulnerabilities.match", match, at_once=1),
    Handler("vulnerabilities.match_subject", match_subject),
]
PERIODIC: list[Periodic] = [Periodic("vulnerabilities.match", "41 * * * *")]

__all__ = ["HANDLERS", "PERIODIC", "import_", "match", "match_subject"]
