"""Files of registered versions for MLflow's client: read, every byte checked, never written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NoReturn

from mlflow.entities.file_info import FileInfo  # type: ignore[import-not-found]
from mlflow.store.artifact.artifact_repo import (  # type: ignore[import-not-found]
    ArtifactRepository,
)


class MunimentArtifacts(ArtifactRepository):  # type: ignore[misc]
    """The files at an address such as `muniment://HOST/NAME@3`; see `addresses`."""

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """List a directory; a file, or a directory that is not there, lists as nothing."""
        from muniment.client.mlflow_plugin.reading import opened_version  # noqa: PLC0415

        with opened_version(self.artifact_uri, path or "") as version:
            found = version.listed()
        above = f"{path.rstrip('/')}/" if path else ""
        return [FileInfo(above + name, size is None, size) for name, size in found]

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None, **_: Any) -> str:
        """Have a file or directory (empty: everything) in `dst_path`, else in a new directory.

        Files arrive under other names and get their own only when their bytes are those
        registered; ones already there with the same bytes are kept.

        Raises:
            MlflowException: there is no such file, or its bytes are not those registered.
        """
        from muniment.client.mlflow_plugin.reading import opened_version  # noqa: PLC0415

        into = Path(dst_path or tempfile.mkdtemp(prefix="muniment-")).absolute()
        with opened_version(self.artifact_uri, artifact_path or "") as version:
            version.download(into / (artifact_path or ""))
        return str(into / (artifact_path or ""))

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        from muniment.client.mlflow_plugin.reading import opened_version  # noqa: PLC0415

        with opened_version(self.artifact_uri, remote_file_path) as version:
            version.download(Path(local_path).absolute())

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> NoReturn:
        """Refuse: a version never changes."""
        _refuse(self.artifact_uri)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> NoReturn:
        """Refuse: a version never changes."""
        _refuse(self.artifact_uri)

    def delete_artifacts(self, artifact_path: str | None = None) -> NoReturn:
        """Refuse: a version never changes."""
        _refuse(self.artifact_uri)


def _refuse(address: str) -> NoReturn:
    from muniment.client.mlflow_plugin.errors import refused  # noqa: PLC0415
    from muniment.core.errors import NotAllowed  # noqa: PLC0415

    raise refused(NotAllowed(f"`{address}` never changes: register a new version instead"))
