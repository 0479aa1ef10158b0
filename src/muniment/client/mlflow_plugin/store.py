"""The registry as MLflow's model registry store, for `muniment://` and `muniment+http://`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import (  # type: ignore[import-not-found]
    ModelVersion,
    ModelVersionTag,
)
from mlflow.exceptions import RestException  # type: ignore[import-not-found]
from mlflow.store.model_registry.rest_store import RestStore  # type: ignore[import-not-found]

from muniment.client.mlflow_plugin import registering, sources
from muniment.client.mlflow_plugin.addresses import registry_url, version_address, without_secrets
from muniment.client.mlflow_plugin.errors import Refused, in_mlflows_terms
from muniment.client.mlflow_plugin.opening import host_credentials, opened, watched


class MunimentStore(RestStore):  # type: ignore[misc]
    """MLflow's REST store, but that registering sends the bytes from here and loading checks them.

    Every refusal is an `MlflowException` with our `code`.
    """

    def __init__(self, store_uri: str, tracking_uri: str | None = None) -> None:
        """Connect to nothing yet. MLflow calls it with these names.

        Raises:
            MlflowException: `store_uri` is no address of a registry.
        """
        with in_mlflows_terms():
            self._url = registry_url(store_uri)
        self._address = store_uri
        self._tracking_uri = tracking_uri or ""
        super().__init__(partial(host_credentials, self._url))

    def _call_endpoint(self, *arguments: Any, **more: Any) -> Any:
        try:
            return super()._call_endpoint(*arguments, **more)
        except RestException as error:
            raise Refused(error.json) from error

    def create_model_version(  # noqa: PLR0917 -- MLflow's signature
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Sequence[ModelVersionTag] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Register the files at `source` (or at `local_model_path`, where they still are).

        Only bytes the registry lacks are sent, and a broken-off upload goes on. A `source` that is
        with the registry is not fetched. What comes back is READY.

        Raises:
            MlflowException: what MLflow or the registry refused; no version is written.
        """
        if sources.is_with_the_registry(source, self._tracking_uri, self._url):
            return super().create_model_version(
                name, source, run_id, tags, run_link, description, model_id=model_id
            )
        lineage = sources.lineage_of(source, run_id or "", model_id or "", self._tracking_uri)
        said = {
            "source": without_secrets(source),
            "run_id": lineage.run_id,
            "model_id": lineage.model_id,
            "run_link": run_link or "",
            "tracking_uri": sources.shown_tracking(self._tracking_uri),
            "params": lineage.params,
            "description": description or "",
            "tags": {tag.key: tag.value for tag in tags or ()},
        }
        if local_model_path is not None:
            number = self._register(name, Path(local_model_path), said)
        else:
            with sources.on_this_machine(lineage.location, self._tracking_uri) as directory:
                number = self._register(name, directory, said)
        return self.get_model_version(name, number)

    def _register(self, name: str, directory: Path, said: dict[str, Any]) -> str:
        with opened(self._url) as client, watched() as on_progress:
            return str(registering.register(client, name, directory, said, on_progress).number)

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Return where `mlflow_plugin.artifacts` reads the files, so that all of them are checked.

        Raises:
            MlflowException: there is no such version.
        """
        super().get_model_version_download_uri(name, version)
        return version_address(self._address, name, str(version))
