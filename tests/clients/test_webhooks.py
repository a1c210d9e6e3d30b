"""Webhooks of the registry through MLflow's client: a receiver checks the signature with MLflow's own code."""

import http.server
import json
import queue
import threading

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.webhooks.delivery import _generate_hmac_signature

from conftest import Server

WAIT_SECONDS = 60


@pytest.fixture
def open_server(tmp_path):
    """A server that may call this machine."""
    started = Server(tmp_path)
    (tmp_path / "rondo.toml").write_text("webhook_private = true\n")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def receiver():
    calls = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.put((dict(self.headers.items()), body.decode()))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/hook", calls
    listener.shutdown()


def test_a_version_is_told_with_mlflows_signature(open_server, receiver):
    url, calls = receiver
    client = MlflowClient(tracking_uri=open_server.url)
    hook = client.create_webhook("ci", url, ["model_version.created", "registered_model.created"], secret="s3cret")
    assert client.get_webhook(hook.webhook_id).name == "ci"
    assert [str(event) for event in client.list_webhooks()[0].events] == ["registered_model.created", "model_version.created"]

    client.create_registered_model("flights", tags={"team": "a"})
    client.create_model_version("flights", "s3://bucket/model", tags={"k": "v"})
    received = [calls.get(timeout=WAIT_SECONDS) for _ in range(2)]
    for headers, body in received:
        names = {name.lower(): value for name, value in headers.items()}
        expect = _generate_hmac_signature("s3cret", names["x-mlflow-delivery-id"], names["x-mlflow-timestamp"], body)
        assert names["x-mlflow-signature"] == expect
    bodies = [json.loads(body) for _, body in received]
    assert [(body["entity"], body["action"]) for body in bodies] == [
        ("registered_model", "created"),
        ("model_version", "created"),
    ]
    assert bodies[0]["data"] == {"name": "flights", "tags": {"team": "a"}, "description": ""}
    assert bodies[1]["data"]["version"] == "1" and bodies[1]["data"]["tags"] == {"k": "v"}

    result = client.test_webhook(hook.webhook_id, "model_version.created")
    assert (result.success, result.response_status, result.response_body) == (True, 200, "ok")
    changed = client.update_webhook(hook.webhook_id, status="DISABLED", description="off")
    assert (str(changed.status), changed.description) == ("DISABLED", "off")
    client.delete_webhook(hook.webhook_id)
    assert client.list_webhooks() == []


def test_a_private_place_is_refused_by_default(url):
    client = MlflowClient(tracking_uri=url)
    with pytest.raises(MlflowException, match="not a public address"):
        client.create_webhook("ssrf", "https://169.254.169.254/latest", ["registered_model.created"])
