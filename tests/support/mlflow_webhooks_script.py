"""What MLflow's client does with webhooks, unmodified; runs in MLflow's own environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found]
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookStatus  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]

url, secret = os.environ["RECEIVER"], "s3cret"
client = MlflowClient()
seen: dict[str, Any] = {}

made = client.create_webhook(
    name="told",
    url=url,
    events=["registered_model.created", "model_version_alias.created", "model_version_tag.set"],
    description="tells the test",
    secret=secret,
)
seen["made"] = [made.name, str(made.status), sorted(map(str, made.events)), made.description]
seen["got"] = client.get_webhook(made.webhook_id).url == url
for number in range(3):
    client.create_webhook(name=f"more-{number}", url=url, events=["prompt.created"])
page = client.list_webhooks(max_results=3)
rest = client.list_webhooks(max_results=3, page_token=page.token)
seen["listed"] = [[one.name for one in page], [one.name for one in rest], rest.token]
off = client.update_webhook(page[0].webhook_id, status=WebhookStatus.DISABLED, name="off")
seen["updated"] = [off.name, str(off.status), off.last_updated_timestamp > off.creation_timestamp]
for one in (*page, *rest):
    if one.webhook_id != made.webhook_id:
        client.delete_webhook(one.webhook_id)
try:
    client.get_webhook(page[0].webhook_id)
except MlflowException as error:
    seen["absent"] = [error.error_code, page[0].webhook_id in str(error)]
try:
    client.create_webhook(name="in", url="https://169.254.169.254/", events=["prompt.created"])
except MlflowException as error:
    seen["refused"] = error.error_code

tried = client.test_webhook(made.webhook_id)
seen["tried"] = [tried.success, tried.response_status, tried.response_body]

client.create_registered_model("m", tags={"team": "risk"}, description="a model")
folder = Path("model")
folder.mkdir()
(folder / "weights.bin").write_bytes(b"weights")
with mlflow.start_run() as run:
    mlflow.log_artifacts(str(folder), "m")
source = f"runs:/{run.info.run_id}/m"
client.create_model_version("m", source, run.info.run_id)
client.set_model_version_tag("m", "1", "a", "b")
client.set_registered_model_alias("m", "chosen", 1)

Path("seen.json").write_text(json.dumps(seen))
