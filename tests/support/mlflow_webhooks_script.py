"""What MLflow's client does with webhooks, unmodified, and a receiver that verifies with MLflow's own code.

Nothing of ours is imported: this runs in an environment that has MLflow only.
"""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow  # type: ignore[import-not-found]
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookStatus  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found]
from mlflow.webhooks.delivery import (  # type: ignore[import-not-found]
    _generate_hmac_signature,
)

SECRET = "s3cret"
arrived: queue.Queue[dict[str, Any]] = queue.Queue()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        delivery, at = self.headers["X-MLflow-Delivery-Id"], self.headers["X-MLflow-Timestamp"]
        wanted = _generate_hmac_signature(SECRET, delivery, at, body)
        arrived.put({**json.loads(body), "verified": self.headers["X-MLflow-Signature"] == wanted})
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"thanks")

    def log_message(self, *_: object) -> None:
        return


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{receiver.server_port}/hook"
client = MlflowClient()
seen: dict[str, Any] = {}

made = client.create_webhook(
    name="told",
    url=url,
    events=["registered_model.created", "model_version_alias.created", "model_version_tag.set"],
    description="tells the test",
    secret=SECRET,
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
seen["example"] = arrived.get(timeout=30)["entity"]

client.create_registered_model("m", tags={"team": "risk"}, description="a model")
with mlflow.start_run() as run:
    mlflow.log_text("weights", "m/weights.txt")
client.create_model_version("m", f"runs:/{run.info.run_id}/m", run.info.run_id)
client.set_model_version_tag("m", "1", "a", "b")
client.set_registered_model_alias("m", "chosen", 1)
told = [arrived.get(timeout=60) for _ in range(3)]
seen["verified"] = all(one["verified"] for one in told)
seen["told"] = {one["entity"] + "." + one["action"]: one["data"] for one in told}
Path("seen.json").write_text(json.dumps(seen))
