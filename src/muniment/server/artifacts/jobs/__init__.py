"""What is done now and then: drop abandoned uploads, read stored blobs again."""

from muniment.server.artifacts.jobs.scrub import scrub
from muniment.server.artifacts.jobs.uploads import sweep_uploads

__all__ = ["scrub", "sweep_uploads"]
