"""MLflow's tracking server as we read it: its runs, its logged models, its artifacts.

What it answers is believed about itself (which run has which root), never about us: names of files
are checked, answers are bounded.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from muniment.core.errors import BadRequest, DestinationDown, NotFound
from muniment.server.federation.records import Entry, RemoteFile, RemoteRun
from muniment.server.federation.rules import places
from muniment.server.ports.outbound import Ask, Outbound

_ANSWER_BYTES: Final = 32 << 20
_ANSWER_SECONDS: Final = 60.0
_FILE_SECONDS: Final = 6 * 3600.0
_OK: Final = 200
_REDIRECTS: Final = 3


class _File(msgspec.Struct):
    path: str
    is_dir: bool = False
    file_size: int | str | None = None


class _Listing(msgspec.Struct):
    files: list[_File] = []


class _Pair(msgspec.Struct):
    key: str
    value: str = ""


class _RunInfo(msgspec.Struct):
    artifact_uri: str = ""


class _RunData(msgspec.Struct):
    params: list[_Pair] = []


class _Run(msgspec.Struct):
    info: _RunInfo
    data: _RunData = msgspec.field(default_factory=_RunData)


class _RunAnswer(msgspec.Struct):
    run: _Run


class _ModelInfo(msgspec.Struct):
    artifact_uri: str = ""
    source_run_id: str = ""


class _Model(msgspec.Struct):
    info: _ModelInfo
    data: _RunData = msgspec.field(default_factory=_RunData)


class _ModelAnswer(msgspec.Struct):
    model: _Model


@dataclass(frozen=True, slots=True)
class Login:
    """How the server is told who asks: a token, or a name and a password; nothing where it is open."""

    token: str | None = None
    user: str | None = None
    password: str | None = None

    def headers(self) -> Mapping[str, str]:
        """Return the header that says it."""
        if self.user is not None and self.password is not None:
            both = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return {"authorization": f"Basic {both}"}
        return {} if self.token is None else {"authorization": f"Bearer {self.token}"}


class MlflowServer:
    """One server. Every method raises `DestinationDown` and `DestinationRefused` as `Outbound` does."""

    def __init__(self, outbound: Outbound, base_url: str, login: Login) -> None:
        """Read from `base_url`."""
        self._outbound, self._base, self._login = outbound, base_url.rstrip("/"), login

    async def run(self, run_id: str) -> RemoteRun:
        """Return a run.

        Raises:
            NotFound: the server has none of that id.
        """
        path = f"/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}"
        found: _RunAnswer = await self._json(path, _RunAnswer, f"run {run_id}")
        return RemoteRun(found.run.info.artifact_uri, _params(found.run.data), run_id)

    async def model(self, model_id: str) -> RemoteRun:
        """Return a logged model, with the run that made it.

        Raises:
            NotFound: the server has none of that id.
        """
        path = f"/api/2.0/mlflow/logged-models/{quote(model_id, safe='')}"
        found: _ModelAnswer = await self._json(path, _ModelAnswer, f"logged model {model_id}")
        info = found.model.info
        return RemoteRun(info.artifact_uri, _params(found.model.data), info.source_run_id)

    async def list_files(self, root: str) -> list[RemoteFile]:
        """Return every file below the directory `root` of its artifacts, paths from there on.

        Raises:
            BadRequest: a name is no plain name, or there are too many.
        """
        files: list[RemoteFile] = []
        waiting = [""]
        while waiting:
            directory = waiting.pop()
            for entry in await self._entries(f"{root}/{directory}" if directory else root):
                path = places.below(directory, entry)
                if entry.is_directory:
                    waiting.append(path)
                else:
                    files.append(RemoteFile(path, entry.size_bytes))
            if len(files) + len(waiting) > places.FILES_MAX:
                raise BadRequest(f"there are more than {places.FILES_MAX} files at the source")
        return files

    async def _entries(self, directory: str) -> list[Entry]:
        path = f"{places.PROXY.rstrip('/')}?path={quote(directory, safe='/')}"
        listing: _Listing = await self._json(path, _Listing, f"artifacts at {directory}")
        return [Entry(one.path, one.is_dir, _size(one)) for one in listing.files]

    async def read(self, path: str, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the bytes of one of its artifacts.

        Raises:
            NotFound: there is none at that path.
        """
        ask = self._ask(places.PROXY + quote(path, safe="/"), max_bytes, _FILE_SECONDS)
        async with self._outbound.open(ask) as incoming:
            _check(incoming.status, f"artifact {path[-200:]}")
            async for chunk in incoming.chunks():
                yield chunk

    async def _json(self, path: str, kind: type[Any], what: str) -> Any:
        answer = await self._outbound.ask(self._ask(path, _ANSWER_BYTES, _ANSWER_SECONDS))
        _check(answer.status, what)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequest(f"the tracking server answers no {what}: {error}") from error

    def _ask(self, path: str, max_bytes: int, seconds: float) -> Ask:
        return Ask(
            url=self._base + path,
            credentials=self._login.headers(),
            redirects=_REDIRECTS,
            max_bytes=max_bytes,
            seconds=seconds,
        )


def _params(data: _RunData) -> dict[str, str]:
    return {pair.key: pair.value for pair in data.params}


def _size(file: _File) -> int | None:
    """Return a size; MLflow writes numbers, protobuf may write text."""
    text = str(file.file_size)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None  # noqa: PLR2004


def _check(status: int, what: str) -> None:
    """Go on only if the answer is what was asked for.

    Raises:
        NotFound: there is no such thing, or we may not see it.
        DestinationDown: the server has trouble of its own; worth repeating.
    """
    if status == _OK:
        return
    if status in {400, 401, 403, 404}:
        why = {401: ": it wants other credentials", 403: ": it lets us not"}.get(status, "")
        raise NotFound(f"the tracking server has no {what} for us (status {status}{why})")
    raise DestinationDown(f"the tracking server answers {status} for {what}")
