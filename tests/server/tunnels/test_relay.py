"""A relay by itself: who does not know the attempt's token gets nothing, and an impostor is found out."""

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.benches import Bench, local_bench
from tests.server.serving import wait_for

from hutong.adapters.engines.attempt import files, greeting
from hutong.adapters.engines.base import Reachable
from hutong.core.kernel.errors import Later, Refused
from hutong.core.kernel.ids import AttemptKey
from hutong.core.work.states import AttemptState

ECHO = """
import os, socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        while chunk := self.rfile.read1(65536): self.wfile.write(chunk)
socketserver.ThreadingTCPServer(("127.0.0.1", int(os.environ["HUTONG_PORT"])), Echo).serve_forever()
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with local_bench(tmp_path, "none") as bench:
        yield bench


def start(bench: Bench) -> tuple[AttemptKey, int]:
    order = bench.order(f"exec python3 - <<'END'\n{ECHO}\nEND", ports=(0,))
    bench.engine.submit(order)
    seen = bench.wait(order.key, lambda seen: seen.state is AttemptState.RUNNING)
    return order.key, seen.port


def reach(bench: Bench, key: AttemptKey, port: int, rank: int = 0) -> socket.socket:
    assert isinstance(bench.engine, Reachable)
    return asyncio.run(bench.engine.reach(key, rank, port))


def reach_soon(bench: Bench, key: AttemptKey, port: int) -> socket.socket:
    """Reach the job's port once its program listens."""

    def there() -> socket.socket | None:
        try:
            return reach(bench, key, port)
        except Refused:
            return None

    found: socket.socket = wait_for(there, 60)
    return found


def hung_up(line: socket.socket) -> bool:
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


def folder_of(tmp_path: Path, key: AttemptKey) -> Path:
    return tmp_path / "site" / "attempts" / key


def test_a_port_is_reached_half_closed_and_ended(bench: Bench) -> None:
    key, port = start(bench)
    with reach_soon(bench, key, port) as line:
        line.setblocking(True)
        line.settimeout(20)
        sent = secrets.token_bytes(3_000_000)
        sender = threading.Thread(target=lambda: (line.sendall(sent), line.shutdown(socket.SHUT_WR)))
        sender.start()
        got = b"".join(iter(lambda: line.recv(65536), b""))
        sender.join()
    assert got == sent


def test_what_does_not_listen_and_what_is_not_there_is_said(bench: Bench) -> None:
    key, port = start(bench)
    reach_soon(bench, key, port).close()
    with pytest.raises(Refused, match="port 1 "):
        reach(bench, key, 1)
    with pytest.raises(Refused, match="rank 7"):
        reach(bench, key, 0, rank=7)
    with pytest.raises(Refused, match="has ended"):
        reach(bench, AttemptKey("ht-" + "0" * 26 + "-a1"), port)


def test_without_the_token_nothing_is_said_and_with_another_nothing_opens(
    bench: Bench, tmp_path: Path
) -> None:
    key, port = start(bench)
    reach_soon(bench, key, port).close()
    folder = folder_of(tmp_path, key)
    with _call(folder) as line:
        nonce = line.recv(greeting.NONCE_BYTES, socket.MSG_WAITALL)
        line.sendall(greeting.ask(secrets.token_bytes(32), nonce, secrets.token_bytes(32), 0, port))
        assert hung_up(line)
    with _call(folder) as line:
        line.recv(greeting.NONCE_BYTES, socket.MSG_WAITALL)
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"\r\n" * 40)
        assert hung_up(line)
    assert (folder / files.RELAY).stat().st_mode & 0o077 == 0


def test_an_old_call_cannot_be_played_again(bench: Bench, tmp_path: Path) -> None:
    key, port = start(bench)
    reach_soon(bench, key, port).close()
    folder = folder_of(tmp_path, key)
    where = files.read_json(folder / files.RELAY)
    assert where is not None
    with _call(folder) as line:
        nonce = line.recv(greeting.NONCE_BYTES, socket.MSG_WAITALL)
        good = greeting.ask(bytes.fromhex(where["token"]), nonce, secrets.token_bytes(32), 0, port)
        line.sendall(good)
        assert line.recv(greeting.ANSWER_BYTES, socket.MSG_WAITALL)
    with _call(folder) as line:
        line.recv(greeting.NONCE_BYTES, socket.MSG_WAITALL)
        line.sendall(good)
        assert hung_up(line)


def test_somebody_in_the_relays_place_is_found_out(bench: Bench, tmp_path: Path) -> None:
    key, port = start(bench)
    reach_soon(bench, key, port).close()
    folder = folder_of(tmp_path, key)
    where = files.read_json(folder / files.RELAY)
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        told = {**(where or {}), "host": "127.0.0.1", "port": impostor.getsockname()[1]}
        files.write_json(folder / files.RELAY, told)

        def pretend() -> None:
            sock, _ = impostor.accept()
            with sock:
                sock.sendall(secrets.token_bytes(greeting.NONCE_BYTES))
                sock.recv(greeting.ASK_BYTES, socket.MSG_WAITALL)
                sock.sendall(bytes(greeting.ANSWER_BYTES))

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(Later, match="not the relay"):
            reach(bench, key, port)
        thread.join()


def test_a_relay_that_was_killed_comes_up_again(bench: Bench, tmp_path: Path) -> None:
    key, port = start(bench)
    reach_soon(bench, key, port).close()
    where = files.read_json(folder_of(tmp_path, key) / files.RELAY)
    assert where is not None
    os.kill(where["pid"], 9)
    wait_for(lambda: not Path(f"/proc/{where['pid']}").exists())
    reach(bench, key, port).close()


def _call(folder: Path) -> socket.socket:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(20)
    handle = os.open(folder, os.O_PATH)
    line.connect(f"/proc/self/fd/{handle}/{files.RELAY_SOCKET}")
    os.close(handle)
    return line
