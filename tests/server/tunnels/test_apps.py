"""Jobs' own pages through a real gateway, agent, relay and server: what visitors may rely on."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.server.serving import wait_for
from tests.server.tunnels.conftest import Visitor, opened_world
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hutong.core.accounts.registry import Project
from hutong.core.book.store import Record
from hutong.core.kernel.ids import JobId
from hutong.server.registry import document, read

PROGRAM = (Path(__file__).parent / "serve.py").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One platform for the module, and one job that serves, with a visitor who is in."""
    with opened_world(tmp_path_factory.mktemp("world")) as world:
        world.wang = world.platform.person("wang", "biology")  # type: ignore[attr-defined]
        world.job = world.serve_http(PROGRAM)  # type: ignore[attr-defined]
        world.visitor = world.visit(world.job)  # type: ignore[attr-defined]
        world.visitor.until_up()  # type: ignore[attr-defined]
        yield world


def test_a_request_reaches_the_job_and_its_answer_comes_back(world: Any) -> None:
    answer = world.visitor.get("/tree?a=1&b=%20x%2F")
    assert answer.text.startswith("GET /tree?a=1&b=%20x%2F\n")
    assert f"\nhost: {world.host(world.job)}\n" in answer.text.lower()
    assert "hutong-visit" not in answer.text
    assert answer.headers["set-cookie"] == "theme=dark"


def test_bodies_of_both_kinds_arrive_whole(world: Any) -> None:
    body = bytes(range(256)) * 4096 * 3
    said = world.visitor.ask("POST", "/", content=body)
    parts = (body[at : at + 70_000] for at in range(0, len(body), 70_000))
    streamed = world.visitor.ask("POST", "/", content=parts)
    assert said.text == streamed.text
    assert said.text.endswith(f" {len(body)}")


def test_an_answer_is_passed_on_as_it_comes(world: Any) -> None:
    with raw(world, "GET /drip HTTP/1.1") as line:
        assert until(line, b"001\n")
    assert len(world.visitor.get("/big").content) == 8 << 20


def test_a_page_with_many_parts_is_quick_over_a_few_kept_connections(world: Any) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: world.visitor.get(f"/part{n}").status_code, range(120)))
    assert answers == [200] * 120


def test_a_hundred_streams_at_once(world: Any) -> None:
    lines = [raw(world, "GET /drip HTTP/1.1") for _ in range(100)]
    try:
        for line in lines:
            assert until(line, b"000\n")
    finally:
        for line in lines:
            line.close()
    assert world.visitor.get("/after").status_code == 200


def test_a_reader_who_does_not_read_holds_up_nobody(world: Any) -> None:
    with raw(world, "GET /big HTTP/1.1"):
        assert world.visitor.get("/other").status_code == 200


@pytest.mark.parametrize("path", ["/broken", "/garbage", "/huge-header"])
def test_an_answer_that_is_none_is_said_to_be(world: Any, path: str) -> None:
    with raw(world, f"GET {path} HTTP/1.1") as line:
        got = b"".join(iter(lambda: line.recv(65536), b""))
    if path == "/broken":
        assert not got.endswith(b"0\r\n\r\n"), "a broken answer must not look whole"
    else:
        assert got.startswith(b"HTTP/1.1 502"), got[:200]
    assert world.visitor.get("/after").status_code == 200


SMUGGLED = [
    "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity",
    "POST / HTTP/1.1\r\nContent-Length: -1",
    "GET / HTTP/1.1\r\nX: a\r\n\x00: b",
    "GET / HTTP/1.1\r\nHost: other",
    "GET /" + "a" * 200_000 + " HTTP/1.1",
    "GET / HTTP/1.1\r\nX-Big: " + "b" * 200_000,
]


@pytest.mark.parametrize("head", SMUGGLED, ids=range(len(SMUGGLED)))
def test_a_request_that_can_be_read_in_two_ways_is_refused(world: Any, head: str) -> None:
    with raw(world, head) as line:
        got = read_all(line)
    # A server that hangs up on what is far too long may do so before its word is read.
    assert not got or got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 501")), got[:200]


def test_two_framings_are_one_to_the_job(world: Any) -> None:
    """Chunked wins, and what a second reading would take for a request of its own stays part of nothing."""
    head = "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"
    with raw(world, head, b"5\r\nhello\r\n0\r\n\r\n") as line:
        got = b"".join(iter(lambda: line.recv(65536), b""))
    assert b" 5" in got.rpartition(b"\r\n\r\n")[2] or got.startswith(b"HTTP/1.1 400")
    assert got.count(b"HTTP/1.1 ") == 1


def raw(world: Any, head: str, body: bytes = b"") -> socket.socket:
    """Send a request as it is written, by the visitor's cookie; the caller reads and closes."""
    line = socket.create_connection(("127.0.0.1", world.gateway_port), timeout=60)
    text = f"{head}\r\nHost: {world.visitor.host}\r\nCookie: {world.visitor.cookie}\r\n\r\n"
    line.sendall(text.encode("latin-1") + body)
    return line


def read_all(line: socket.socket) -> bytes:
    got = b""
    try:
        while piece := line.recv(65536):
            got += piece
    except ConnectionResetError:
        return got
    return got


def status_of(visitor: Visitor) -> int:
    """Return the status of the first page, 0 where the answer broke off."""
    try:
        return visitor.get("/").status_code
    except httpx2.TransportError:
        return 0


def until(line: socket.socket, mark: bytes) -> bool:
    seen = b""
    while mark not in seen:
        piece = line.recv(65536)
        assert piece, seen[-500:]
        seen += piece
    return True


# WebSockets


def websocket(world: Any, visitor: Visitor | None, **more: Any) -> Any:
    headers = {"Cookie": visitor.cookie} if visitor else {}
    port = urlsplit(f"http://{world.visitor.host}").port
    return connect(
        f"ws://{world.visitor.host}/kernels", host="127.0.0.1", port=port, additional_headers=headers,
        max_size=None, proxy=None, **more,
    )  # fmt: skip


def test_a_websocket_carries_both_kinds_of_message_and_its_protocol_and_its_end(world: Any) -> None:
    async def talk() -> None:
        async with websocket(world, world.visitor, subprotocols=["v1.kernel.example"]) as line:
            assert line.subprotocol == "v1.kernel.example"
            for message in ("text", b"\0bytes", "大" * 100_000, b"z" * 3_000_000):
                await line.send(message)
                assert await line.recv() == message
            await line.send("leave")
            with pytest.raises(ConnectionClosed):
                await line.recv()
            assert (line.close_code, line.close_reason) == (4001, "as asked")

    asyncio.run(talk())


def test_a_websocket_of_a_stranger_or_of_another_page_is_refused(world: Any) -> None:
    async def refused(visitor: Visitor | None, **more: Any) -> int:
        with pytest.raises(InvalidStatus) as error:
            async with websocket(world, visitor, **more):
                pass
        return int(error.value.response.status_code)

    assert asyncio.run(refused(None)) == 401
    other = f"http://{'0' * 26}.localhost:{world.gateway_port}"
    assert asyncio.run(refused(world.visitor, origin=other)) == 403


# Who may


def test_a_stranger_is_told_how_to_come_in(world: Any) -> None:
    answer = world.stranger(world.job).get("/lab")
    assert answer.status_code == 401
    assert "hutong open" in answer.text
    assert "script" not in answer.headers["content-security-policy"]


def test_a_ticket_works_once_and_for_its_own_job_only(world: Any) -> None:
    url = urlsplit(world.open(world.job)["url"])
    enter = f"{url.path}?{url.query}"
    wrong = world.stranger("0" * 26).get(enter)
    assert wrong.status_code == 401
    first = world.stranger(world.job)
    assert first.get(enter).status_code == 303
    assert first.get("/").status_code == 200
    replayed = world.stranger(world.job).get(enter)
    assert (replayed.status_code, "set-cookie" in replayed.headers) == (401, False)
    assert world.stranger(world.job).get("/.hutong/enter?ticket=guessed").status_code == 401


def test_a_ticket_is_stale_after_a_minute(world: Any) -> None:
    url = urlsplit(world.open(world.job)["url"])
    world.platform.clock.ahead_ms += 61_000
    try:
        assert world.stranger(world.job).get(f"{url.path}?{url.query}").status_code == 401
    finally:
        world.platform.clock.ahead_ms -= 61_000


def test_a_visit_to_one_job_opens_no_other(world: Any) -> None:
    other = world.stranger("0" * 26)
    other.cookie = world.visitor.cookie
    assert other.get("/").status_code == 401


def test_members_of_other_projects_and_operators_get_no_ticket(world: Any) -> None:
    for headers, status in ((world.wang, 404), (world.platform.operator, 403)):
        answer = world.platform.http.post(f"/v1/jobs/{world.job}/open", headers=headers)
        assert answer.status_code == status, answer.text


def test_a_membership_that_ends_ends_the_visit(world: Any) -> None:
    store = world.platform.services.store
    zhao = world.platform.person("zhao")
    record = store.get("project", "physics")
    before = read(Project, record)

    def set_members(members: tuple[Any, ...]) -> None:
        changed = Project(before.id, before.institution, before.title, members, before.active)
        store.put(Record("project", "physics", document(changed), record.parent))

    set_members((*before.members, ("zhao", "member")))
    store.put(Record("member", "zhao/physics", {}, "zhao"))
    visitor = world.visit(world.job, zhao)
    assert visitor.get("/").status_code == 200
    set_members(before.members)
    wait_for(lambda: visitor.get("/").status_code == 403, 20)
    assert world.visitor.get("/").status_code == 200


def test_the_platforms_own_paths_are_not_on_a_jobs_host(world: Any) -> None:
    answer = world.visitor.get("/v1/models")
    assert answer.text.startswith("GET /v1/models\n"), "the job answers, not the gateway"
    assert world.visitor.get("/healthz").text.startswith("GET /healthz\n")


# What may fail


def test_an_agent_that_dies_ends_the_streams_and_the_next_one_serves(world: Any) -> None:
    with raw(world, "GET /drip HTTP/1.1") as line:
        assert until(line, b"000\n")
        world.stop_agents()
        rest = b"".join(iter(lambda: line.recv(65536), b""))
        assert not rest.endswith(b"0\r\n\r\n")
    world.start_agent()
    wait_for(lambda: world.visitor.get("/again").status_code == 200, 60)


def test_while_no_agent_answers_the_visitor_is_told_and_the_call_is_forgotten(world: Any) -> None:
    world.stop_agents()

    def told() -> httpx2.Response | None:
        answer = world.visitor.get("/")  # each takes as long as the gateway waits for an agent
        return answer if answer.status_code == 502 else None

    assert "haidian" in wait_for(told, 90).text
    world.start_agent()
    wait_for(lambda: world.visitor.get("/").status_code == 200, 60)


def test_a_job_that_ends_ends_its_streams_and_its_pages(world: Any) -> None:
    job = world.serve_http(PROGRAM)
    visitor = world.visit(job)
    visitor.until_up()
    began, ended = threading.Event(), threading.Event()

    def drip() -> None:
        headers = {"Host": visitor.host, "Cookie": visitor.cookie}
        try:
            with visitor.client.stream("GET", "/drip", headers=headers) as answer:
                for _ in answer.iter_bytes():
                    began.set()
        except httpx2.TransportError:
            ended.set()

    reader = threading.Thread(target=drip, daemon=True)
    reader.start()
    assert began.wait(60)
    world.platform.post(f"/v1/jobs/{job}/cancel", headers=world.li)
    wait_for(lambda: status_of(visitor) == 410, 60)
    assert ended.wait(60)
    refused = world.platform.http.post(f"/v1/jobs/{job}/open", headers=world.li)
    assert refused.status_code == 409
    wait_for(lambda: world.platform.services.store.job(JobId(job)).job.final, 30)


def test_a_job_that_does_not_run_yet_has_no_pages(world: Any) -> None:
    waiting = world.submit("true", type="notebook", resources={"accelerators": "A100:8"}, num_nodes=2)
    answer = world.platform.http.post(f"/v1/jobs/{waiting}/open", headers=world.li)
    assert answer.status_code == 409, answer.text
