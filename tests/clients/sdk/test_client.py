"""What a user of hutong.Client may rely on: errors with reasons, harmless repeats, streams that go on."""

import asyncio
import json
from collections.abc import Callable

import httpx2
import pytest

from hutong import AsyncClient, Client
from hutong.clients.sdk.call import pause_s
from hutong.clients.sdk.resource import Resource
from hutong.core.kernel.errors import Broken, Conflict, Denied, HutongError, Later, NotFound, Refused

URL = "http://platform.test"
JOB = {
    "id": "01K2ABCDEFGHJKMNPQRSTVWXYZ", "name": "hello", "project": "poems", "type": "task",
    "state": "ACCEPTED", "reason": "", "by": "li-na", "priority": 0, "num_nodes": 1, "accelerators": [],
    "attempts": [],
    "submitted": "2026-11-22T08:00:00.000Z", "changed": "2026-11-22T08:00:00.000Z", "finished": None,
    "conditions": {"reachable": None, "last_seen": None}, "charge": {"amount": "0.000000", "currency": "CNY"},
}  # fmt: skip
Answer = Callable[[httpx2.Request], httpx2.Response]


def client(answer: Answer) -> Client:
    made = Client(URL, "ht_person_x", transport=httpx2.MockTransport(answer), trials=4)
    made._pause = lambda _seconds: None
    return made


def sse(*events: tuple[str, dict[str, object]]) -> httpx2.Response:
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return httpx2.Response(200, content=text.encode(), headers={"Content-Type": "text/event-stream"})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflict),
        (422, Refused),
        (500, Broken),
        (503, Later),
    ],
)
def test_a_problem_of_the_platform_becomes_the_kernel_s_error(status: int, kind: type[HutongError]) -> None:
    problem = {"path": "/spec/run", "message": "is missing", "hint": "run: python train.py"}
    body = {"title": "No", "status": status, "code": "some_code", "detail": "why", "problems": [problem]}
    with (
        client(lambda _: httpx2.Response(status, json=body)) as here,
        pytest.raises(kind, match="why") as caught,
    ):
        here.jobs.get(str(JOB["id"]))
    if isinstance(caught.value, Refused):
        assert caught.value.code == "some_code"
        assert caught.value.status == status
        assert caught.value.problems[0].hint == "run: python train.py"


def test_an_answer_that_is_no_problem_report_still_says_its_status() -> None:
    here = client(lambda _: httpx2.Response(418, content=b"<html>teapot</html>"))
    with pytest.raises(Refused, match=r"418.*teapot"):
        here.me()


def test_a_submission_whose_answer_was_lost_is_sent_again_under_the_same_key() -> None:
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            raise httpx2.ReadError("gone", request=request)
        return httpx2.Response(201, json=JOB)

    with client(answer) as here:
        assert here.jobs.submit("poems", {"run": "true"}).id == JOB["id"]
        here.jobs.submit("poems", {"run": "true"})
    assert keys[0] == keys[1] == keys[2]
    assert len(set(keys)) == 2, "two submissions must have two keys"


def test_what_may_not_be_repeated_is_sent_once_and_the_error_says_that_nothing_is_known() -> None:
    sent: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.method)
        raise httpx2.ReadError("gone", request=request)

    with client(answer) as here, pytest.raises(Later, match="not known"):
        here.projects.remove_member("poems", "wang")
    assert sent == ["DELETE"]


def test_what_never_left_is_sent_again_whatever_it_is() -> None:
    sent: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.method)
        if len(sent) == 1:
            raise httpx2.ConnectError("refused", request=request)
        return httpx2.Response(204)

    with client(answer) as here:
        here.projects.remove_member("poems", "wang")
    assert len(sent) == 2


def test_a_platform_that_is_not_there_is_named_with_what_to_do() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with client(answer) as here, pytest.raises(Later, match=r"platform\.test.*hutong up"):
        here.me()


def test_later_is_tried_again_after_the_time_that_was_asked_for() -> None:
    pauses: list[float] = []
    busy = httpx2.Response(
        503, json={"title": "busy", "status": 503, "code": "later"}, headers={"Retry-After": "3"}
    )
    answers = iter([busy, httpx2.Response(200, json={**JOB, "spec": {}})])
    here = client(lambda _: next(answers))
    here._pause = pauses.append
    assert here.jobs.get(str(JOB["id"])).name == "hello"
    assert pauses == [3.0]


def test_pauses_grow_and_are_bounded() -> None:
    pauses = [pause_s(trial) for trial in range(1, 9)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.5
    assert pauses[-1] <= 10
    assert pause_s(1, 3600) <= 10


def test_a_list_is_read_page_by_page_and_no_further_than_wanted() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        cursor = request.url.params.get("cursor", "")
        asked.append(cursor)
        items = [{**JOB, "name": f"{cursor or 'first'}-{index}"} for index in range(3)]
        return httpx2.Response(200, json={"items": items, "next": {"": "b", "b": "c", "c": ""}[cursor]})

    with client(answer) as here:
        assert [job.name for job in here.jobs.list(limit=4)] == ["first-0", "first-1", "first-2", "b-0"]
        assert asked == ["", "b"]
        asked.clear()
        assert len(list(here.jobs.list())) == 9
        assert asked == ["", "b", "c"]
        asked.clear()
        next(here.jobs.list())
        assert asked == [""], "a list is lazy"


def test_facts_are_followed_through_broken_connections_without_gap_or_repeat() -> None:
    def fact(seq: int, kind: str = "waiting") -> tuple[str, dict[str, object]]:
        body = {"seq": seq, "at": "2026-11-22T08:00:00.000Z", "source": "loop", "kind": kind, "data": {}}
        return ("fact", body)

    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params.get("after", ""))
        match len(asked):
            case 1:
                return sse(fact(1), fact(2))
            case 2:
                raise httpx2.ReadError("gone", request=request)
            case 3:
                return sse(fact(2), fact(3))
        return sse(fact(4, "finished"))

    with client(answer) as here:
        assert [each.seq for each in here.jobs.follow(str(JOB["id"]))] == [1, 2, 3, 4]
    assert asked == ["", "2", "2", "3"]


def test_a_log_is_followed_by_bytes_through_broken_connections() -> None:
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.params.get("offset", ""))
        if len(asked) == 1:
            return sse(("", {"offset": 0, "text": "诗", "next": 3}))
        return sse(("", {"offset": 3, "text": "ab", "next": 5}), ("end", {"next": 5, "reason": ""}))

    with client(answer) as here:
        text = "".join(chunk.text for chunk in here.jobs.logs(str(JOB["id"]), follow=True))
    assert text == "诗ab"
    assert asked[1] == "3"


def test_a_stream_of_a_job_that_is_not_mine_is_refused_at_once() -> None:
    gone = {"title": "no", "status": 404, "code": "not_found", "detail": "there is no such job"}
    here = client(lambda _: httpx2.Response(404, json=gone))
    with pytest.raises(NotFound):
        list(here.jobs.follow(str(JOB["id"])))


def test_a_newer_platform_may_say_more_and_a_wrong_answer_is_not_believed() -> None:
    newer = {
        **JOB,
        "spec": {},
        "mood": "sunny",
        "conditions": {"reachable": None, "last_seen": None, "wet": True},
    }
    assert client(lambda _: httpx2.Response(200, json=newer)).jobs.get(str(JOB["id"])).name == "hello"
    with pytest.raises(Broken, match="not understood"):
        client(lambda _: httpx2.Response(200, json={"id": 1})).jobs.get(str(JOB["id"]))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_can_not_change_the_path_of_a_call(name: str) -> None:
    with pytest.raises(Refused):
        client(lambda _: httpx2.Response(200)).jobs.get(name)


def test_names_are_quoted_in_paths() -> None:
    paths: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        paths.append(request.url.raw_path.decode())
        return httpx2.Response(200, content=b"x")

    client(answer).jobs.output("j/../k", "a b/ü.txt")
    assert paths == ["/v1/jobs/j%2F..%2Fk/outputs/a%20b/%C3%BC.txt"]


def test_the_token_goes_with_every_call_and_never_to_an_address_it_was_not_kept_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HUTONG_URL", "http://mine.test")
    monkeypatch.setenv("HUTONG_TOKEN", "ht_person_mine")
    seen: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("authorization"))
        return httpx2.Response(200, json={"id": "li", "name": "Li", "operator": False, "projects": []})

    transport = httpx2.MockTransport(answer)
    Client(transport=transport).me()
    Client("http://other.test", transport=transport).me()
    assert seen == ["Bearer ht_person_mine", None]


def test_the_asynchronous_client_has_the_same_verbs_and_the_same_manners() -> None:
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json={"items": [JOB, JOB], "next": ""})
        keys.append(request.headers["idempotency-key"])
        if len(keys) == 1:
            raise httpx2.ReadError("gone", request=request)
        return httpx2.Response(201, json=JOB)

    async def work() -> tuple[str, int]:
        async with AsyncClient(URL, "t", transport=httpx2.MockTransport(answer)) as here:
            job = await here.jobs.submit("poems", {"run": "true"})
            return job.id, len([each async for each in here.jobs.list(limit=5)])

    assert asyncio.run(work()) == (JOB["id"], 2)
    assert keys[0] == keys[1]
    groups = [name for name, each in vars(Client).items() if isinstance(each, Resource)]
    assert len(groups) >= 40
    for name in groups:
        ours, theirs = getattr(Client(URL), name), getattr(AsyncClient(URL), name)
        verbs = {verb for verb in dir(ours) if not verb.startswith("_")}
        assert verbs == {verb for verb in dir(theirs) if not verb.startswith("_")}
        for verb in verbs:
            assert getattr(ours, verb).__doc__, f"{name}.{verb} does not say what it does"
