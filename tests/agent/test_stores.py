"""Data sets from a real S3 server: as the job itself, within bounds, only from stores that are offered."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.agent.scene import World
from tests.s3 import S3Server, serve_s3

from hutong.agent.offers import Offers, StoreOffer
from hutong.agent.staging import Cache, Errand, Staged
from hutong.core.kernel.errors import Later, Refused
from hutong.core.work.spec import Input

BIG = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("s3")
    for name, data in {"zh/big.bin": BIG, "zh/deep/b.txt": b"bb", "zhong/c.txt": b"c"}.items():
        path = folder / "sets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with serve_s3(folder) as opened:
        yield opened


class Bench:
    """A cache that may fetch from the server as `lab`, and a job's secrets."""

    def __init__(self, world: World, server: S3Server, root: Path) -> None:
        self.offers = Offers({"lab": StoreOffer(server.endpoint)})
        self.secrets = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret}
        self.world, self.root = world, root

    def fetch(self, url: str, *, store: str = "lab", project: str = "p", **secrets: str) -> Staged:
        cache = Cache(self.root, self.world.link, offers=self.offers)
        errand = Errand(project, {**self.secrets, **secrets})
        return cache.fetch((Input("data", "", "url", url=url, store=store),), errand)

    def files(self, url: str) -> dict[str, bytes]:
        ((mount, kind, folder),) = self.fetch(url)
        assert (mount, kind) == ("data", "manifest")
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }

    def objects(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in (self.root / "objects").iterdir()}


@pytest.fixture
def bench(world: World, server: S3Server, tmp_path: Path) -> Bench:
    return Bench(world, server, tmp_path / "cache")


def test_an_object_or_all_below_a_prefix(bench: Bench) -> None:
    assert bench.files("s3://sets/zh/big.bin") == {"big.bin": BIG}
    assert bench.files("s3://sets/zh/") == {"big.bin": BIG, "deep/b.txt": b"bb"}
    assert bench.files("s3://sets/zh") == {"big.bin": BIG, "deep/b.txt": b"bb"}
    assert set(bench.files("s3://sets")) == {"zh/big.bin", "zh/deep/b.txt", "zhong/c.txt"}


@pytest.mark.parametrize(
    "url", ["s3://sets/none", "s3://sets/z", "s3://no-such-bucket/zh", "s3://sets/zh/big.bin/"]
)
def test_what_is_not_there_is_refused(bench: Bench, url: str) -> None:
    with pytest.raises(Refused, match="nothing at"):
        bench.fetch(url)


def test_only_stores_that_the_site_offers(bench: Bench) -> None:
    with pytest.raises(
        Refused, match=r"no store 'other' is offered here to fetch inputs from .there are: lab"
    ):
        bench.fetch("s3://sets/zh", store="other")
    bench.offers = Offers()
    with pytest.raises(Refused, match="there are none"):
        bench.fetch("s3://sets/zh")


def test_only_the_job_s_own_secrets_open_a_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, server: S3Server
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    with pytest.raises(Refused, match=r"refuses .* AWS_ACCESS_KEY_ID") as caught:
        bench.fetch("s3://sets/zh", AWS_SECRET_ACCESS_KEY="wrong-and-secret")
    assert server.key not in str(caught.value)
    assert "wrong-and-secret" not in str(caught.value)
    mine, bench.secrets = bench.secrets, {}
    with pytest.raises(Refused, match="or without them"):
        bench.fetch("s3://sets/zh")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "stale")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    bench.secrets = mine
    assert set(bench.files("s3://sets/zh")) == {"big.bin", "deep/b.txt"}


def test_what_is_here_is_not_fetched_again_until_it_changes(bench: Bench, server: S3Server) -> None:
    bench.fetch("s3://sets/zh")
    before = bench.objects()
    assert not any("sets" in name or server.key in name for name in before)
    bench.fetch("s3://sets/zh")
    assert bench.objects() == before
    bench.fetch("s3://sets/zh", project="others")
    assert len(bench.objects()) == 2 * len(before), "who may read it is asked for each project"


def test_an_object_of_other_content_is_another_one(bench: Bench, world: World, tmp_path: Path) -> None:
    with serve_s3(tmp_path / "own", "sets") as server:
        own = Bench(world, server, tmp_path / "cache")
        (tmp_path / "own" / "sets" / "a").write_bytes(b"1")
        assert own.files("s3://sets/a") == {"a": b"1"}
        (tmp_path / "own" / "sets" / "a").write_bytes(b"2")
        assert own.files("s3://sets/a") == {"a": b"2"}
    with pytest.raises(Later, match="did not answer"):
        own.fetch("s3://sets/a")


class Ranges(ThreadingHTTPServer):
    """Stands before rclone, which knows no ranges: answers them, and breaks off after so many bytes each."""

    daemon_threads = True

    def __init__(self, behind: str, cut: int) -> None:
        self.sent: list[int] = []
        there, front = urlsplit(behind), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                line = HTTPConnection(there.hostname or "", there.port)
                line.request(self.command, self.path, headers=dict(self.headers.items()))  # all is signed
                answer = line.getresponse()
                body = answer.read()
                line.close()
                at = int(self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
                part = body[at:] if at and len(body) == len(BIG) else body
                self.send_response(206 if at else answer.status)
                for name in ("ETag", "Last-Modified", "Content-Type"):
                    self.send_header(name, answer.headers[name])
                if at:
                    self.send_header("Content-Range", f"bytes {at}-{len(BIG) - 1}/{len(BIG)}")
                size = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(part))
                self.send_header("Content-Length", size)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(part[:cut])
                    front.sent.append(len(part[:cut]))
                    self.close_connection = len(part) > cut

            do_HEAD = do_GET  # noqa: N815

        super().__init__(("127.0.0.1", 0), Handler)


def test_a_line_that_breaks_costs_no_byte_twice(bench: Bench, server: S3Server) -> None:
    with Ranges(server.endpoint, 1 << 20) as front:
        threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()
        bench.offers = Offers({"lab": StoreOffer(f"http://127.0.0.1:{front.server_address[1]}")})
        assert bench.files("s3://sets/zh/big.bin") == {"big.bin": BIG}
        front.shutdown()
    assert len(front.sent) >= 5
    assert sum(front.sent) == len(BIG)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_fetch_goes_on_where_it_was_left(bench: Bench, damaged: bool) -> None:
    bench.fetch("s3://sets/zh/big.bin")
    big = next(path for path in (bench.root / "objects").iterdir() if path.stat().st_size == len(BIG))
    for path in (bench.root / "sets").iterdir():
        (path / "big.bin").unlink()
        path.rmdir()
    big.unlink()
    part = big.with_name(f".{big.name}.part")
    part.write_bytes(b"x" * 1_000_000 if damaged else BIG[:1_000_000])
    left = part.stat().st_ino
    assert bench.files("s3://sets/zh/big.bin") == {"big.bin": BIG}
    assert big.stat().st_ino == left, "it was gone on with"
    assert hashlib.sha256(big.read_bytes()).digest() == hashlib.sha256(BIG).digest()


def test_an_input_is_bounded(bench: Bench) -> None:
    bench.offers = replace(bench.offers, most_files=1)
    with pytest.raises(Refused, match="more than 1 files"):
        bench.fetch("s3://sets/zh")
    bench.offers = replace(bench.offers, most_files=10, most_bytes=1_000)
    for url in ("s3://sets/zh", "s3://sets/zh/big.bin"):
        with pytest.raises(Refused, match="more than 1000 bytes"):
            bench.fetch(url)
    assert bench.objects() == {}
