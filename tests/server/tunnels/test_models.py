"""A model of a site that takes no connection at all, asked through the gateway by the official client."""

from pathlib import Path

import openai
import pytest
from tests.server.serving import DAY_MS, wait_for
from tests.server.tunnels.conftest import Reachable, opened_world

from hutong.core.book.store import Record
from hutong.core.catalog.deployments import Deployment
from hutong.server.people import grant_token
from hutong.server.registry import document

MODEL = r"""
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            return self.stream()
        body = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"],
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "far away"}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}).encode()
        self.send_response(200); self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def stream(self):
        self.send_response(200); self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close"); self.end_headers()
        for word in ("far ", "away"):
            event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n"); self.close_connection = True
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HUTONG_PORT"])), Handler).serve_forever()
"""


def client_of(world: Reachable) -> openai.OpenAI:
    here = world.platform.services
    grant = grant_token(
        here.store, here.new_id(), kind="key", owner="li", name="test", now_ms=here.clock(), lives_ms=DAY_MS,
        project="physics",
    )  # fmt: skip
    url = f"http://127.0.0.1:{world.gateway_port}/v1"
    return openai.OpenAI(base_url=url, api_key=grant.secret, max_retries=0)


def test_a_model_behind_nat_answers_whole_and_streamed_and_is_paid(tmp_path: Path) -> None:
    with opened_world(tmp_path, service_host="") as world:
        store = world.platform.services.store
        job = world.serve_http(MODEL, type="service")
        deployment = Deployment("physics", "chat", "physics/demo/1", job, 1_000_000, 2_000_000, 1, "li")
        store.put(Record("deployment", deployment.id, document(deployment), "physics"), expect=0)
        with client_of(world) as client:
            wait_for(lambda: [each.id for each in client.models.list()] == ["physics/chat"], 60)
            message = {"role": "user", "content": "where are you?"}
            whole = client.chat.completions.create(model="chat", messages=[message])  # type: ignore[list-item]
            assert whole.choices[0].message.content == "far away"
            stream = client.chat.completions.create(model="chat", messages=[message], stream=True)  # type: ignore[list-item]
            assert (
                "".join(each.choices[0].delta.content or "" for each in stream if each.choices) == "far away"
            )
            usage = store.usage("physics", "", "", 100)  # type: ignore[arg-type]
            assert len({each.key for each in usage if each.key.startswith("gw-")}) == 2
            world.stop_agents()
            with pytest.raises(openai.InternalServerError, match="not ready"):
                client.chat.completions.create(model="chat", messages=[message])  # type: ignore[list-item]
            world.start_agent()
