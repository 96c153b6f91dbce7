"""What a user may rely on about serving: any OpenAI client can talk to it, and nothing is left behind."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

PAYLOADS = Path(__file__).resolve().parents[2] / "src" / "hutong" / "payloads"

# The same numbers from our own model and from transformers' Llama, or the saved model is not the trained one.
AGREE = """
import json, sys
from pathlib import Path
from typing import Any
import torch
from llama import Model, Shape
from safetensors import safe_open
from transformers import AutoModelForCausalLM
with safe_open(sys.argv[1], framework="pt") as file:
    shape = Shape(**json.loads(file.metadata()["state"])["identity"]["shape"])
    ours = Model(shape, 16)
    ours.flat.copy_(file.get_tensor("flat"))
theirs = AutoModelForCausalLM.from_pretrained(sys.argv[2])
tokens = torch.randint(0, shape.vocab, (4, 16))
with torch.no_grad():
    print(float((theirs(tokens).logits - ours.logits(tokens)).abs().max()))
"""


@pytest.fixture(scope="module")
def trained(payload_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a tiny model was trained."""
    folder = tmp_path_factory.mktemp("trained")
    options = "--dim 64 --layers 2 --ctx 16 --vocab 512 --megabytes 0.2 --steps 20"
    command = [payload_python, PAYLOADS / "train.py", *options.split(" ")]
    subprocess.run(command, check=True, cwd=folder, env={"OMP_NUM_THREADS": "1"}, capture_output=True)
    return folder


def test_transformers_computes_what_was_trained(trained: Path, payload_python: Path) -> None:
    checkpoint, model = trained / "checkpoints" / "checkpoint.safetensors", trained / "outputs" / "model"
    env = {"PYTHONPATH": str(PAYLOADS), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HOME": str(trained)}
    done = subprocess.run(
        [payload_python, "-c", AGREE, checkpoint, model], check=True, env=env, capture_output=True, text=True
    )
    assert float(done.stdout) < 1e-4


def await_ready(log: Path, process: subprocess.Popen[str]) -> dict[str, object]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith('{"hutong": "ready"'):
                ready: dict[str, object] = json.loads(line)
                return ready
        time.sleep(0.05)
    pytest.fail(f"not ready: {log.read_text()}")


def await_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.02)


def serve(center: Any, folder: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    env = center.env(folder) | {"HUTONG_PORT": str(center.port())}
    return center.start([center.python, PAYLOADS / "serve.py", model, *options], folder, env)


def test_an_openai_client_streams_and_a_signal_ends_everything(
    trained: Path, center: Any, tmp_path: Path
) -> None:
    process = serve(center, tmp_path, trained / "outputs" / "model", "--name", "lab/tiny")
    ready = await_ready(tmp_path / "log", process)
    assert ready["model"] == "lab/tiny"
    question = [{"role": "user", "content": "What is json.dumps?"}]
    with OpenAI(base_url=f"http://127.0.0.1:{ready['port']}/v1", api_key="none") as client:
        chunks = list(
            client.chat.completions.create(
                model="lab/tiny", messages=question, max_tokens=20, stream=True,
                stream_options={"include_usage": True},
            )
        )  # fmt: skip
        usage = chunks[-1].usage
        assert usage is not None
        assert 1 <= usage.completion_tokens <= 20
        assert usage.prompt_tokens > 3
        assert any(choice.delta.content for chunk in chunks for choice in chunk.choices)
        with pytest.raises(BadRequestError):
            client.chat.completions.create(model="other", messages=question)
    family = center.family(process.pid)
    assert len(family) == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    await_gone(family)


def test_the_server_does_not_outlive_a_killed_supervisor(trained: Path, center: Any, tmp_path: Path) -> None:
    process = serve(center, tmp_path, trained / "outputs" / "model")
    await_ready(tmp_path / "log", process)
    family = center.family(process.pid)
    assert len(family) == 2
    process.kill()
    process.wait(60)
    await_gone(family)


def test_weights_that_can_run_code_are_refused(trained: Path, center: Any, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "outputs" / "model", model)
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert serve(center, tmp_path, model).wait(60) == 1
    assert "pytorch_model.bin can run code" in (tmp_path / "log").read_text()


def test_a_folder_without_a_model_is_refused(center: Any, tmp_path: Path) -> None:
    assert serve(center, tmp_path, tmp_path).wait(60) == 1
    assert "has no config.json" in (tmp_path / "log").read_text()
