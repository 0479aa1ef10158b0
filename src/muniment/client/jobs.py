"""The job queue, as an administrator sees it."""

from __future__ import annotations

from muniment.client.paging import all_items
from muniment.client.records import Job, Page
from muniment.client.transport import Transport, api


class Jobs:
    """Calls about jobs that are not done; they need the role `admin`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list_(self, *, state: str | None = None, name: str | None = None) -> list[Job]:
        """Every job that is `due`, `running` or `dead`, newest first."""

        def page_at(cursor: str | None) -> Page[Job]:
            query = {"state": state, "name": name, "cursor": cursor}
            return self._transport.get(api("jobs"), Page[Job], query)

        return list(all_items(page_at))

    def retry(self, job_id: int) -> Job:
        """Have a dead or waiting job run now."""
        return self._transport.send("POST", f"{api('jobs', str(job_id))}/retry", None, Job)
