"""Serves a model folder through `transformers serve`, an OpenAI-compatible server, and says when it answers.

The service's cards are declared: the work itself runs here on CPU, and its speed says nothing of any card.
The server is a child of this process: it hears every signal that we hear and never outlives us. It reads the
given folder only, offline; requests must name the model by `--name`, and nothing else is loaded for them.
"""

import argparse
import ctypes
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SHUTDOWN_S = 10  # for streams that are still open
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_PDEATHSIG = 1  # prctl: the signal a process gets when its parent dies


class Unfit(Exception):
    """The folder, the name or the port cannot be served; the message says why."""


def parse_options() -> argparse.Namespace:
    """Read the command line; exits with code 2 and the name of a wrong option."""
    env = os.environ
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="folder with config.json, tokenizer and safetensors")
    parser.add_argument("--name", default="", help="what requests call it (default: the folder's name)")
    parser.add_argument("--host", default=env.get("HUTONG_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(env.get("HUTONG_PORT") or 0))
    parser.add_argument("--work", type=Path, default=Path("serving"), help="folder for links and caches")
    parser.add_argument("--patience-s", type=float, default=300.0, help="longest wait for the first answer")
    options = parser.parse_args()
    options.name = options.name or options.model.resolve().name
    if not _NAME.fullmatch(options.name):
        parser.error(f"--name: {options.name!r}: letters, digits, '.', '_', '-' and at most one '/'")
    if not 0 < options.port < 65_536:
        parser.error(f"--port: {options.port} is no port; set --port or HUTONG_PORT")
    return options


def check_folder(folder: Path) -> None:
    """Raise Unfit unless the folder holds a model as safetensors, and nothing that is run when loaded."""
    if not folder.is_dir():
        raise Unfit(f"{folder} is not a folder")
    if not (folder / "config.json").is_file():
        raise Unfit(f"{folder} has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise Unfit(f"{folder} has no weights as safetensors; other formats are not served")
    for name in ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.py"):
        if found := next(folder.glob(name), None):
            raise Unfit(f"{found} can run code when it is loaded; remove it, the safetensors are enough")


def launch(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Start the server as our child, in a folder where the name alone finds the model."""
    link = options.work / options.name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(options.model.resolve(), target_is_directory=True)
    # The list of models answers 500 where the cache folder does not exist.
    cache = (options.work / ".cache").resolve()
    cache.mkdir(exist_ok=True)
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(cache),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",  # or it asks a package registry at every start
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    command = [
        str(Path(sys.executable).with_name("transformers")), "serve", options.name,
        "--host", options.host, "--port", str(options.port), "--device", "cpu",
    ]  # fmt: skip
    libc = ctypes.CDLL(None)
    return subprocess.Popen(
        command,
        cwd=options.work,
        env=os.environ | quiet,
        preexec_fn=lambda: libc.prctl(_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509  (one thread here)
    )


def ask(host: str, port: int, method: str, path: str, body: object = None) -> int:
    """Send one request to the server and return its status, or 0 while it cannot be reached."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        response.read()
    except OSError:
        return 0
    else:
        return response.status
    finally:
        connection.close()


def await_answer(options: argparse.Namespace, server: subprocess.Popen[bytes], signals: list[int]) -> bool:
    """Wait until the model has answered one request; False if the server ended or a signal came first."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)  # noqa: S104  (compared only)
    deadline = time.monotonic() + options.patience_s
    while ask(host, options.port, "GET", "/health") != 200:
        if server.poll() is not None or signals:
            return False
        if time.monotonic() > deadline:
            raise Unfit(f"no answer on port {options.port} within {options.patience_s:g} s")
        time.sleep(0.1)
    # The first request pays for what is loaded lazily; the user's first should not.
    question = {
        "model": options.name,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    status = ask(host, options.port, "POST", "/v1/chat/completions", question)
    if server.poll() is not None or signals:
        return False
    if status != 200:
        raise Unfit(f"the model answers {status} to a first request; the server's lines above say why")
    return True


def end(server: subprocess.Popen[bytes]) -> None:
    """Stop the server: TERM, then KILL if open streams keep it."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main() -> int:
    """Serve until the server ends or a signal asks for the end; 128 + the signal's number then."""
    began = time.monotonic()
    options = parse_options()
    signals: list[int] = []
    server: subprocess.Popen[bytes] | None = None

    def remember(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if server:
            server.terminate()
            signal.alarm(SHUTDOWN_S)

    def lose_patience(_number: int, _frame: FrameType | None) -> None:
        if server:
            server.kill()

    signal.signal(signal.SIGALRM, lose_patience)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, remember)
    try:
        check_folder(options.model)
        server = launch(options)
        if await_answer(options, server, signals):
            ready = {"hutong": "ready", "host": options.host, "port": options.port, "model": options.name}
            print(json.dumps({**ready, "start_up_s": round(time.monotonic() - began, 2)}), flush=True)
            server.wait()
    except Unfit as error:
        print(f"serve: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        if server:
            end(server)
    if signals:
        return 128 + signals[0]
    print(f"serve: the server ended by itself with {server.returncode}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
